"""The report in a real browser: it opens, plays, sorts, filters, and can be read by everybody.

Not part of the suite: `.ci/long` runs it, or `python -m pytest tests/browser`.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace

import pytest
from made_page import page

from attnzoo.report.page.build import Content, write_page
from attnzoo.report.tables import findings

LIST = "[...document.querySelectorAll('#player video')].map(v => v.currentTime)"
TIMES = f"return {LIST}"
FRAME = 1 / 8
"""Of the made-up clips, in seconds."""

EVIL = "<script>window.evil = 1</script><img src=x onerror='window.evil = 2'>"

CONTRASTS = """
const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3);
  }
  return [255, 255, 255];
};
const silent = ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"];
const bad = [];
let seen = 0;
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || silent.includes(e.tagName) || !e.checkVisibility()) continue;
  const colours = [parse(getComputedStyle(e).color).slice(0, 3), ground(e)];
  const [a, b] = colours.map(luminance).sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  seen += 1;
  if (ratio < 4.5) bad.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent}`);
}
return [seen, bad];
"""

REDS = """
const video = document.querySelectorAll("#grid video")[1];
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [64, 64];
const context = canvas.getContext("2d");
context.drawImage(video, 0, 0, 64, 64);
const { data } = context.getImageData(0, 0, 64, 64);
let [sum, n] = [0, 0];
for (let i = 0; i < data.length; i += 4)
  if (data[i] > 180 && data[i + 1] < 90 && data[i + 2] < 90) { sum += (i / 4) % 64; n += 1; }
return [n, sum / n];
"""
"""How many pixels of the real clip are red, which is its logo, and their mean column."""


def column(browser, table: str, name: str) -> tuple[object, int]:
    """The heading's button of a column, and its number."""
    heads = browser.driver.find_elements("css selector", f"#{table} thead tr:last-child th")
    place = next(i for i, head in enumerate(heads) if head.text.split("\n")[0].startswith(name))
    return heads[place].find_element("css selector", "button"), place


def values(browser, table: str, place: int) -> list[float | None]:
    return browser.js(
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
        ".map((row) => row.cells[arguments[1]].dataset.sort ?? null)"
        ".map((text) => (text === null ? null : Number(text)))",
        table,
        place,
    )


def test_it_opens_without_an_error_and_asks_nobody_for_anything(browser, report):
    browser.open(report)
    browser.find("#play").click()
    browser.until(f"return {LIST}[0] > 0.3")
    assert browser.errors() == []
    schemes = {address.split(":")[0] for address in browser.requests()}
    assert schemes <= {"file", "data", "blob", "about"}
    files = [a for a in browser.requests() if a.startswith("file:")]
    assert set(files) <= {report.as_uri()}


def test_nothing_moves_before_it_is_asked_to(browser, report):
    browser.open(report)
    assert browser.js(TIMES) == pytest.approx([FRAME / 2] * 9)
    assert browser.js("return document.getAnimations().length") == 0
    assert browser.js("return [...document.querySelectorAll('video')].every(v => v.paused)")


def test_videos_play_and_stay_in_step(browser, report):
    browser.open(report)
    last = browser.js("return document.getElementById('preset').options.length - 2")
    browser.choose("#preset", str(last))
    browser.until("return [...document.querySelectorAll('video')].every(v => v.readyState > 1)")
    browser.settle()
    browser.find("#play").click()
    browser.until(f"return {LIST}[0] > 0.2")
    apart, shown = [], set()
    end = time.monotonic() + 4
    while time.monotonic() < end:
        times = browser.js(TIMES)
        apart.append((max(times) - min(times)) / FRAME)
        shown.add(browser.js("return document.getElementById('frame').textContent"))
        time.sleep(0.05)
    assert len(times) > 10 and len(apart) > 10
    assert len(shown) > 4
    assert max(apart) < 1, sorted(apart)[-5:]
    browser.find("#play").click()
    browser.settle()
    assert len(set(browser.js(TIMES))) == 1


def test_they_go_on_from_the_start(browser, report):
    browser.open(report)
    browser.choose("#speed", "2")
    browser.choose("#scrub", "13")
    browser.settle()
    browser.find("#play").click()
    browser.until(f"const [t] = {LIST}; return t > 0.1 && t < 0.8")
    assert browser.js("return document.querySelector('#grid video').paused") is False


def test_the_scrubber_and_the_steps_show_their_frame(browser, report):
    browser.open(report)
    places = []
    for frame in (1, 4, 12):
        browser.choose("#scrub", str(frame))
        browser.settle()
        assert browser.js(TIMES) == pytest.approx([(frame + 0.5) * FRAME] * 9)
        assert browser.find("#frame").text == f"{frame + 1} / 16"
        time.sleep(0.3)
        red, place = browser.js(REDS)
        assert red > 20
        places.append(place)
    # The logo goes to the right, a pixel a frame or so.
    assert places[0] < places[1] < places[2]
    browser.find("#forth").click()
    assert browser.find("#frame").text == "14 / 16"
    browser.find("#back").click()
    browser.find("#scrub").send_keys(",")
    assert browser.find("#frame").text == "12 / 16"
    browser.settle()
    assert browser.js(TIMES) == pytest.approx([11.5 * FRAME] * 9)
    browser.find("#scrub").send_keys(" ")
    browser.until("return !document.querySelector('#grid video').paused")


def test_another_clip_and_other_variants(browser, report):
    browser.open(report)
    first = browser.js("return document.querySelector('#grid video').src")
    browser.choose("#clip", "2")
    assert browser.js("return document.querySelector('#grid video').src") != first
    labels = "return [...document.querySelectorAll('#grid figcaption')].map(e => e.textContent)"
    before = browser.js(labels)
    browser.find("details.choice summary").click()
    browser.find("#variants input:checked").click()
    assert browser.js(labels) == before[1:]
    assert browser.js("return document.getElementById('preset').value") == "own"
    assert browser.errors() == []


def test_the_wipe_shows_two_of_which_one_ends_where_the_other_begins(browser, report):
    from selenium.webdriver import ActionChains, Keys

    browser.open(report)
    sources = browser.js("return [...document.querySelectorAll('#wipe video')].map(v => v.src)")
    assert len(set(sources)) == 2
    clip = "return getComputedStyle(document.getElementById('pane-right')).clipPath"
    assert "50%" in browser.js(clip)
    edge = browser.find("#edge")
    for _ in range(5):
        edge.send_keys(Keys.ARROW_RIGHT)
    assert "55%" in browser.js(clip)
    wipe = browser.find("#wipe")
    quarter = -wipe.size["width"] // 4
    ActionChains(browser.driver).move_to_element(wipe).click_and_hold().move_by_offset(
        quarter, 0
    ).release().perform()
    assert edge.get_property("value") in ("24", "25", "26")
    assert f"{edge.get_property('value')}%" in browser.js(clip)
    browser.choose("#magnify", "logo")
    assert "matrix(3" in browser.js(
        "return getComputedStyle(document.querySelector('#wipe video')).transform"
    )


@pytest.mark.parametrize("keyboard", [False, True])
def test_a_heading_sorts_up_down_and_as_it_was(browser, report, keyboard):
    from selenium.webdriver import Keys

    browser.open(report)
    button, place = column(browser, "table5", "SSIM")
    original = values(browser, "table5", place)
    assert None in original
    numbers = sorted(value for value in original if value is not None)
    none = [None] * original.count(None)
    for wanted, said in (
        (numbers + none, "ascending"),
        (numbers[::-1] + none, "descending"),
        (original, None),
    ):
        if keyboard:
            button.send_keys(Keys.ENTER)
        else:
            button.click()
        assert values(browser, "table5", place) == wanted
        head = browser.js("return arguments[0].closest('th').getAttribute('aria-sort')", button)
        assert head == said
    assert original != numbers + none


def test_the_filter_keeps_the_rows_that_have_all_words(browser, report):
    browser.open(report)
    browser.find("#filter").send_keys("shift stsa_flow")
    shown = browser.js(
        "return [...document.querySelectorAll('#tables .table tbody tr')].filter(r => !r.hidden)"
        ".map(r => r.textContent.toLowerCase())"
    )
    assert shown and all("shift" in text and "stsa_flow" in text for text in shown)
    assert browser.find("#filtered").text.startswith(f"{len(shown)} of ")


def test_columns_and_small_numbers_can_be_hidden(browser, report):
    browser.open(report)
    visible = "return document.querySelector(arguments[0]).checkVisibility()"
    assert browser.js(visible, "#table1 td.s3") and browser.js(visible, "#table1 .interval")
    assert not browser.js(visible, "#table1 .test")
    browser.find("#table1 [data-section='3']").click()
    browser.find("[data-shows='interval']").click()
    browser.find("[data-shows='test']").click()
    assert not browser.js(visible, "#table1 td.s3") and not browser.js(visible, "#table1 .interval")
    assert browser.js(visible, "#table1 .test") and browser.js(visible, "#table5 td.s3")


def test_a_number_opens_its_records(browser, report, results):
    from selenium.webdriver import Keys

    browser.open(report)
    link = browser.find("#table1 tbody a.value")
    link.click()
    browser.until("return document.getElementById('record').open")
    path = browser.find("#record-path").text
    assert path.startswith("records/") and path.endswith("seed0.json")
    content = json.loads((results / path).read_text())
    assert (
        json.loads(browser.js("return document.getElementById('record-text').textContent"))
        == content
    )
    browser.find("#record-tabs button:nth-child(2)").click()
    assert browser.find("#record-path").text.endswith("seed1.json")
    browser.find("#record").send_keys(Keys.ESCAPE)
    browser.until("return !document.getElementById('record').open")
    assert browser.js("return document.activeElement === arguments[0]", link)
    assert browser.errors() == []


@pytest.mark.parametrize("width", [375, 1440])
def test_the_page_does_not_move_sideways(browser, report, width):
    browser.open(report, width, 812)
    for details in browser.driver.find_elements("css selector", "details"):
        browser.js("arguments[0].open = true", details)
    assert browser.js("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True])
def test_texts_stand_out_from_their_ground(browser, report, dark):
    browser.open(report, dark=dark)
    browser.js("for (const e of document.querySelectorAll('details')) e.open = true")
    seen, bad = browser.js(CONTRASTS)
    assert seen > 300
    assert bad == []
    browser.find("#table1 tbody a.value").click()
    browser.until("return document.getElementById('record').open")
    assert browser.js(CONTRASTS)[1] == []


def test_pictures_have_texts_and_controls_have_names(browser, report):
    browser.open(report)
    images = browser.driver.find_elements("css selector", "img")
    assert len(images) >= 3
    assert all(image.get_attribute("alt") for image in images)
    assert all(browser.js("return arguments[0].naturalWidth > 0", image) for image in images)
    browser.find("details.choice summary").click()
    controls = browser.driver.find_elements(
        "css selector", "#player :is(button, select, input, video), .toolbar input"
    )
    assert len(controls) > 20
    assert [c.get_attribute("outerHTML") for c in controls if not c.accessible_name] == []


def test_a_variant_named_like_a_script_is_a_name(browser, results, tmp_path):
    folder = shutil.copytree(results, tmp_path / "results")
    protocol = json.loads((folder / "protocol.json").read_text())
    cell = protocol["tables"]["table1"]["rows"][2]["cell"]
    for place in (protocol["tables"]["table1"]["rows"][2], protocol["cells"][cell]):
        place["label"] = EVIL
    (folder / "protocol.json").write_text(json.dumps(protocol))
    page(folder, tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    assert browser.js("return window.evil") is None
    assert browser.js("return document.querySelectorAll('main script, [onerror]').length") == 0
    shown = browser.js(
        "return [...document.querySelectorAll('#grid figcaption, #table1 .label')]"
        ".map(e => e.textContent)"
    )
    assert shown.count(EVIL) == 2
    assert browser.errors() == []


def test_a_thousand_cells_open(browser, results, tmp_path):
    folder = shutil.copytree(results, tmp_path / "results")
    protocol = json.loads((folder / "protocol.json").read_text())
    model = protocol["tables"]["table1"]["rows"][2]["cell"]
    names = [f"cell{i:03}" for i in range(1000)]
    for name in names:
        shutil.copytree(folder / "records" / model, folder / "records" / name)
        shutil.copy(folder / "costs" / f"{model}.json", folder / "costs" / f"{name}.json")
        protocol["cells"][name] = protocol["cells"][model]
    (folder / "protocol.json").write_text(json.dumps(protocol))
    found = findings(folder)
    # A thousand rows like one of the first table's: to test all of them would take minutes.
    first, *others = found.tables
    rows = [replace(first.rows[2], label=name, cell=name) for name in names]
    found.__dict__["tables"] = [replace(first, rows=(*first.rows, *rows)), *others]
    remarks = write_page(Content(found), tmp_path / "report.html")
    assert not [remark for remark in remarks if "records" in remark]
    browser.open(tmp_path / "report.html")
    assert browser.js("return document.querySelectorAll('#table1 tbody tr').length") > 1000
    browser.find("#filter").send_keys("cell99")
    assert browser.find("#filtered").text.startswith("10 of 1")
    browser.find("#table1 thead tr:last-child button").click()
    assert browser.find("#table1 tbody tr:first-child .label").get_property("textContent")
    assert browser.errors() == []
