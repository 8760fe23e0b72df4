"""A headless Chromium that no network can be reached from, and pages to open in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_page import page, small_results

PATIENCE = 600
"""Seconds that a browser may take for one thing: machines of tests are busy."""


def driver(profile: Path):
    """Debian's Chromium by its own driver; nothing is looked up or downloaded."""
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed: pip install 'attnzoo[browser]'"
    )
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(chromedriver))
    started.command_executor.client_config.timeout = PATIENCE
    started.set_script_timeout(PATIENCE)
    return started


class Browser:
    """One tab, and what a person does in it."""

    def __init__(self, profile: Path) -> None:
        self.driver = driver(profile)

    def open(self, path: Path, width: int = 1440, height: int = 900, *, dark: bool = False) -> None:
        """Opens a page anew, once its videos show their first frame."""
        self.media("prefers-color-scheme", "dark" if dark else "light")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        self.log("browser")
        self.log("performance")
        self.driver.get(path.as_uri())
        self.until("return [...document.querySelectorAll('video')].every(v => v.readyState > 1)")
        self.settle()

    def media(self, name: str, value: str) -> None:
        features = {"features": [{"name": name, "value": value}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", features)

    def js(self, code: str, *arguments):
        return self.driver.execute_script(code, *arguments)

    def find(self, selector: str):
        return self.driver.find_element("css selector", selector)

    def until(self, code: str) -> None:
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: self.js(code), code)

    def settle(self) -> None:
        """Until no video is on its way to another time."""
        self.until("return [...document.querySelectorAll('video')].every(v => !v.seeking)")

    def choose(self, selector: str, value: str) -> None:
        self.js(
            "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
            "for (const kind of ['input', 'change'])"
            " e.dispatchEvent(new Event(kind, { bubbles: true }))",
            selector,
            value,
        )

    def log(self, kind: str) -> list[dict]:
        return self.driver.get_log(kind)

    def errors(self) -> list[str]:
        return [line["message"] for line in self.log("browser") if line["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the page was opened."""
        messages = [json.loads(line["message"])["message"] for line in self.log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.driver.quit()


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    return small_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def report(results: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    page(results, out)
    return out
