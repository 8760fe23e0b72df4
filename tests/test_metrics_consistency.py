"""Logo, ghosting and likeness: known shifts, a definition by hand, and the embedded dancers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from attnzoo.damage.blur import blurred
from attnzoo.damage.logo import moved
from attnzoo.data.clip import Clip
from attnzoo.data.embedded import open_embedded
from attnzoo.data.wardrobe import ALONG, AROUND, front_logo, person
from attnzoo.metrics.consistency import likenesses, signs
from attnzoo.metrics.features import features, load_features
from attnzoo.metrics.ghosting import MEMORY, ghosting
from attnzoo.metrics.identity import identity
from attnzoo.metrics.logo import track
from attnzoo.metrics.registry import Context, NoValue, Profile, get


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return list(open_embedded(clips=6).test)


def sign(clip: Clip) -> Tensor:
    assert clip.logo is not None
    return clip.logo


def test_the_sign_is_where_the_wardrobe_printed_it() -> None:
    place = front_logo(3)
    assert place.shape == (ALONG, AROUND) and place.sum() == 11 * 13
    colours = person(3)[0][place].reshape(-1, 3)
    assert len({tuple(c) for c in colours.round(6).tolist()}) == 2


def test_the_sign_is_on_the_body_of_every_clip(clips: list[Clip]) -> None:
    for clip in clips:
        assert ((sign(clip) > 0) <= (clip.body > 0)).all() and sign(clip).sum() > 100


def test_a_real_clip_has_its_sign_in_place(clips: list[Clip]) -> None:
    for clip in clips:
        found = track(clip.video, clip.video, sign(clip))
        assert found.seen.sum() >= 5
        assert (found.position_error, found.jitter, found.colour_error) == (0, 0, 0)
        assert found.shape_error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (-2, 3), (0, -4)])
def test_a_shift_is_found_and_a_steady_one_does_not_tremble(
    clips: list[Clip], dx: int, dy: int
) -> None:
    for clip in clips:
        found = track(clip.video, clip.video.roll((dy, dx), (2, 3)), sign(clip))
        expected = torch.tensor([dx, dy]).double().expand(int(found.seen.sum()), 2)
        torch.testing.assert_close(found.offset[found.seen], expected)
        assert found.jitter == 0
        assert found.position_error == pytest.approx(math.hypot(dx, dy))


def test_half_a_pixel_is_told_from_none(clips: list[Clip]) -> None:
    between = (clips[0].video + clips[0].video.roll(1, 3)) / 2
    assert track(clips[0].video, between, sign(clips[0])).position_error == pytest.approx(0.5, abs=0.1)  # fmt: skip  # noqa: E501


def searched_by_hand(
    real: Tensor, fake: Tensor, logo: Tensor, reach: int
) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], list[float]]]:
    """Of one frame `[3, H, W]`: correlation and difference of colour by shift, right and down."""
    h, w = logo.shape
    sign_ = [(y, x) for y in range(h) for x in range(w) if logo[y, x] > 0.5]
    near = {
        (y + dy, x + dx) for y, x in sign_ for dy in (-1, 0, 1) for dx in (-1, 0, 1)
        if 0 <= y + dy < h and 0 <= x + dx < w
    }  # fmt: skip

    def taken(picture: Tensor, places: Iterable[tuple[int, int]], dx: int, dy: int) -> Tensor:
        """`[3, n]`; beyond the picture its edge goes on."""
        moved_ = [(min(max(y + dy, 0), h - 1), min(max(x + dx, 0), w - 1)) for y, x in places]
        return torch.stack([picture[:, y, x] for y, x in moved_], dim=1)

    correlation, colour = {}, {}
    own = taken(real, sorted(near), 0, 0)
    own = own - own.mean(dim=1, keepdim=True)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            there = taken(fake, sorted(near), dx, dy)
            there = there - there.mean(dim=1, keepdim=True)
            sizes = float(own.square().sum() * there.square().sum())
            correlation[dx, dy] = float((own * there).sum()) / max(math.sqrt(sizes), 1e-6)
            differ = taken(fake, sign_, dx, dy) - taken(real, sign_, 0, 0)
            colour[dx, dy] = differ.mean(dim=1).tolist()
    return correlation, colour


def vertex(before: float, here: float, after: float) -> float:
    return max(-0.5, min(0.5, (after - before) / 2 / (2 * here - before - after)))


@pytest.mark.parametrize("shift", [(0.5, 0.0), (0.0, 0.5), (-0.7, 0.3), (1.0, -1.0), (2.6, 0.2)])
@pytest.mark.parametrize(("top", "left"), [(12, 9), (0, 0), (26, 25)])
def test_the_search_is_its_definition(shift: tuple[float, float], top: int, left: int) -> None:
    """Below a pixel along both axes, and at the edges of the picture and of what is searched."""
    generator = torch.Generator().manual_seed(top)
    coarse = torch.rand((2, 3, 12, 12), generator=generator, dtype=torch.float64)
    smooth = functional.interpolate(coarse, (40, 40), mode="bicubic", align_corners=True)
    grid = torch.stack(torch.meshgrid(*[torch.arange(4.0, 36)] * 2, indexing="xy"), dim=-1)

    def seen_from(dx: float, dy: float) -> Tensor:
        places = 2 * (grid.double() - torch.tensor([dx, dy])) / 39 - 1
        return functional.grid_sample(smooth, places.expand(2, -1, -1, -1), align_corners=True)

    real, fake = seen_from(0, 0), 0.9 * seen_from(*shift) + 0.03
    logo = torch.zeros(2, 1, 32, 32)
    logo[:, 0, top : top + 6, left : left + 7] = 1
    logo[1, 0, top : top + 2] = 0
    found = track(real, fake, logo)
    assert found.reach == 2 and found.seen.all()
    for k in range(2):
        correlation, colour = searched_by_hand(real[k], fake[k], logo[k, 0], 2)
        best = max(correlation, key=lambda place: correlation[place])
        assert float(found.match[k]) == pytest.approx(correlation[best], abs=1e-9)
        assert found.colour[k].tolist() == pytest.approx(colour[best], abs=1e-9)
        offset = [float(part) for part in best]
        if correlation[best] < 1 - 1e-9:
            for axis, (dx, dy) in enumerate(((1, 0), (0, 1))):
                beside = (best[0] - dx, best[1] - dy), (best[0] + dx, best[1] + dy)
                if all(place in correlation for place in beside):
                    before, after = (correlation[place] for place in beside)
                    offset[axis] += vertex(before, correlation[best], after)
        assert found.offset[k].tolist() == pytest.approx(offset, abs=1e-6)


def test_a_sign_that_trembles_is_told_from_one_that_drifts(clips: list[Clip]) -> None:
    """The paper's Figure 5 as a number: equally far from its place, more or less coherently."""
    generator = torch.Generator().manual_seed(0)
    for clip in clips:
        far = 2 * torch.ones(16, 1)
        angles = 2 * math.pi * torch.rand((16, 1), generator=generator)
        trembling = (far * torch.cat([angles.cos(), angles.sin()], 1)).round()
        steady = far * torch.tensor([[1.0, 0.0]])
        found = [
            track(clip.video, moved(clip.video, sign(clip), clip.body, shifts), sign(clip))
            for shifts in (steady, trembling)
        ]
        assert found[1].jitter > 1.5 * found[0].jitter
        assert found[1].position_error < 1.5 * found[0].position_error + 0.5


def test_colour_and_place_are_told_apart(clips: list[Clip]) -> None:
    darker = track(clips[0].video, 0.7 * clips[0].video, sign(clips[0]))
    assert darker.position_error == 0 and darker.jitter == 0
    seen = sign(clips[0])[darker.seen] > 0.5
    colour = (clips[0].video[darker.seen] * seen).sum((2, 3)) / seen.sum((2, 3))
    assert darker.colour_error == pytest.approx(0.3 * float(colour.mean()), rel=1e-5)


def test_a_lost_sign_counts_as_far_as_was_looked(clips: list[Clip]) -> None:
    found = track(clips[0].video, torch.full_like(clips[0].video, 0.5), sign(clips[0]))
    assert found.position_error == found.jitter == found.reach == 4
    assert found.shape_error == 1 and math.isnan(found.colour_error)


def test_a_sign_that_is_never_shown_has_no_value(clips: list[Clip]) -> None:
    found = track(clips[0].video, clips[0].video, torch.zeros_like(sign(clips[0])))
    assert math.isnan(found.position_error) and math.isnan(found.jitter)


def left_behind_by_hand(real: Tensor, fake: Tensor, body: Tensor) -> float:
    above = below = 0.0
    f, _, h, w = real.shape
    for k in range(f):
        for y in range(h):
            for x in range(w):
                before = [j for j in range(max(0, k - MEMORY), k) if body[j, 0, y, x] > 0.5]
                if body[k, 0, y, x] > 0.5 or not before:
                    continue
                for c in range(3):
                    ghost = float(real[before[-1], c, y, x] - real[k, c, y, x])
                    above += ghost * float(fake[k, c, y, x] - real[k, c, y, x])
                    below += ghost**2
    return above / below


def test_ghosting_is_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.rand((2, 8, 3, 4, 5), generator=generator).double()
    body = (torch.rand((8, 1, 4, 5), generator=generator) > 0.6).float()
    clips = real, fake, body
    assert MEMORY == 4
    expected = left_behind_by_hand(*clips) - left_behind_by_hand(*(x.flip(0) for x in clips))
    assert ghosting(*clips) == pytest.approx(expected)


def test_ghosting_is_the_share_that_shows_through(clips: list[Clip]) -> None:
    clip = clips[0]
    assert ghosting(clip.video, clip.video, clip.body) == 0
    shares = []
    for share in (0.2, 0.4, 0.8):
        past = clip.video[[0, *range(15)]]
        shares.append(ghosting(clip.video, (1 - share) * clip.video + share * past, clip.body))
    assert shares == sorted(shares) and shares[2] == pytest.approx(4 * shares[0], rel=1e-3)
    noise = 0.1 * torch.randn(clip.video.shape, generator=torch.Generator().manual_seed(0))
    assert abs(ghosting(clip.video, clip.video + noise, clip.body)) < 0.1 * shares[0] + 0.02
    assert math.isnan(ghosting(clip.video, clip.video, torch.zeros_like(clip.body)))


def test_what_is_blurred_is_no_ghost_and_what_is_early_is_the_opposite(clips: list[Clip]) -> None:
    for clip in clips:
        past, coming = clip.video[[0, *range(15)]], clip.video[[*range(1, 16), 15]]
        ghost = ghosting(clip.video, 0.8 * clip.video + 0.2 * past, clip.body)
        early = ghosting(clip.video, 0.8 * clip.video + 0.2 * coming, clip.body)
        assert ghost > 0.02 and early < -0.02
        soft = blurred(clip.video, 0.9)
        assert abs(ghosting(clip.video, soft, clip.body)) < 0.5 * ghost


def test_a_person_is_more_like_its_own_reference_than_others(clips: list[Clip]) -> None:
    network = load_features()
    table = torch.tensor(
        [
            [float(identity(network, a.video, a.body, b.foreground, b.mask).mean()) for b in clips]
            for a in clips
        ]
    )
    assert (table.argmax(dim=1) == torch.arange(len(clips))).all()
    clip = clips[0]
    same = identity(network, clip.video[:1], clip.body[:1], clip.foreground, clip.mask)
    assert float(same) == pytest.approx(1, abs=1e-5)
    hidden = identity(network, clip.video, 0 * clip.body, clip.foreground, clip.mask)
    assert hidden.isnan().all()


def test_a_reference_that_shows_nobody_has_no_likeness(clips: list[Clip]) -> None:
    network, clip = load_features(), clips[0]
    nobody = replace(clip, mask=torch.zeros_like(clip.mask))
    found = likenesses(network, torch.stack([clip.video] * 2), [clip, nobody])
    assert found[0] > 0.5 and math.isnan(found[1])


def test_a_person_that_nobody_cut_out_of_the_reference_has_no_likeness(clips: list[Clip]) -> None:
    network, clip = load_features(), clips[0]
    uncut = replace(clip, mask=torch.ones_like(clip.mask))
    everywhere = replace(uncut, body=torch.ones_like(clip.body))
    found = likenesses(network, torch.stack([clip.video] * 2), [uncut, everywhere])
    assert math.isnan(found[0]) and not math.isnan(found[1])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ghosting", "where the person is is not known"),
        ("identity_embedded", "no reference picture"),
        ("logo_jitter", "no sign on the clothes is known"),
        ("warp_error_1", "no flow"),
    ],
)
def test_what_is_not_known_is_a_reason(name: str, words: str) -> None:
    compute = get(Profile.strict, name).compute
    assert compute is not None
    video = torch.rand((6, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    with pytest.raises(NoValue, match=words):
        compute(video, video, Context())


@pytest.mark.parametrize("side", [64, 40])
def test_likeness_is_its_definition(clips: list[Clip], side: int) -> None:
    """Mean and spread over the person, less an empty picture's layers, layer by layer."""
    network, clip = load_features(), clips[0]
    video, body = clip.video[:3, :, :side, :side], clip.body[:3, :, :side, :side].clone()
    reference, mask = clip.foreground[:, :side, :side], clip.mask[:, :side, :side]
    body[0, 0, 0, 0] = 0.5  # is not more than half

    def described(picture: Tensor, person: Tensor) -> list[Tensor]:
        shown = (person > 0.5).float()
        image = 0.5 + (picture - 0.5) * shown

        def resized(x: Tensor) -> Tensor:
            return functional.interpolate(x[None], (64, 64), mode="bilinear", antialias=True)[0]

        layers = network.layers(resized(image)[None])
        empty = network.layers(torch.full((1, 3, 64, 64), 0.5))
        rows = []
        for layer, nothing in zip(layers, empty, strict=True):
            values = (layer - nothing)[0].double().flatten(1)
            cells = functional.adaptive_avg_pool2d(resized(shown)[None], layer.shape[-2:])
            share = cells.double().flatten() / cells.double().sum()
            mean = values @ share
            rows.append(torch.cat([mean, ((values - mean[:, None]).square() @ share).sqrt()]))
        return rows

    wanted = described(reference, mask)
    expected = [
        sum(float(a @ b / a.norm() / b.norm()) for a, b in zip(rows, wanted, strict=True))
        / len(wanted)
        for rows in (described(*pair) for pair in zip(video, body, strict=True))
    ]
    found = identity(network, video, body, reference, mask)
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_half_is_nobody(clips: list[Clip]) -> None:
    network, clip = load_features(), clips[0]
    halves = replace(clip, mask=0.5 * clip.mask), replace(clip, body=0.5 * clip.body)
    found = likenesses(network, torch.stack([clip.video] * 2), halves)
    assert all(map(math.isnan, found))
    rows = identity(network, clip.video[:2], 0.5 * clip.body[:2], clip.foreground, clip.mask)
    assert rows.isnan().all()
    with pytest.raises(ValueError, match="shows no person"):
        identity(network, clip.video, clip.body, clip.foreground, 0.5 * clip.mask)


def test_so_many_videos_as_clips(clips: list[Clip]) -> None:
    videos = torch.stack([clips[0].video] * 2)
    for score in (lambda v, c: likenesses(load_features(), v, c), lambda v, c: signs(v, v, c)):
        with pytest.raises(ValueError, match=r"shorter|longer"):
            score(videos, clips[:1])


@pytest.mark.parametrize("wrong", ["clip", "body", "mask"])
def test_shapes_that_do_not_fit_are_named(clips: list[Clip], wrong: str) -> None:
    clip = clips[0]
    parts = {"clip": clip.video, "body": clip.body, "mask": clip.mask}
    parts[wrong] = parts[wrong][..., 1:]
    with pytest.raises(ValueError, match=r"do not fit: .*63\)"):
        identity(load_features(), parts["clip"], parts["body"], clip.foreground, parts["mask"])
    if wrong != "mask":
        shape = {"clip": 0, "body": 2}[wrong]
        with pytest.raises(ValueError) as error:
            ghosting(parts["clip"], clip.video, parts["body"])
        words = str(error.value).split(" and ")
        assert "63)" in words[shape] and "63)" not in words[1]


def test_signs_of_clips_with_and_without_one(clips: list[Clip]) -> None:
    videos = torch.stack([clip.video for clip in clips[:2]])
    fake = videos.roll(1, 4)
    found = signs(videos, fake, [clips[0], replace(clips[1], logo=None)])
    one = track(videos[0], fake[0], sign(clips[0]))
    wanted = (one.position_error, one.jitter, one.shape_error, one.colour_error)
    names = ["logo_position", "logo_jitter", "logo_shape", "logo_colour"]
    assert [*found] == names and [found[name][0] for name in names] == [*wanted]
    assert all(len(row) == 2 and math.isnan(row[1]) for row in found.values())


@pytest.mark.parametrize(
    ("name", "least"), [("flicker", 3), ("warp_error_1", 2), ("warp_error_4", 5)]
)
def test_the_least_number_of_frames_is_what_a_value_takes(
    clips: list[Clip], name: str, least: int
) -> None:
    metric = get(Profile.strict, name)
    assert metric.min_frames == least and metric.compute is not None
    clip = clips[0]
    context = Context(body=clip.body, flow=clip.flow, known=True)
    still = 0 * clip.video[:least] + 0.5
    assert math.isfinite(float(metric.compute(still, clip.video[:least], context)))
    with pytest.raises(ValueError):
        fewer = clip.video[: least - 1]
        value = float(metric.compute(fewer, fewer, context))
        if math.isnan(value):
            raise ValueError("no number")


@pytest.mark.parametrize("span", [1, 4])
def test_a_warp_error_says_over_how_many_frames(span: int) -> None:
    metric = get(Profile.strict, f"warp_error_{span}")
    assert f", {span} frame{'' if span == 1 else 's'} on," in metric.title


def test_flicker_is_the_difference_to_the_real_clips(clips: list[Clip]) -> None:
    real, fake = clips[0].video, clips[1].video
    compute = get(Profile.strict, "flicker").compute
    assert compute is not None

    def tremor(video: Tensor) -> float:
        return float((video[2:] - 2 * video[1:-1] + video[:-2]).abs().mean())

    found = compute(real, fake, Context())
    assert float(found) == pytest.approx(tremor(fake) - tremor(real), abs=1e-6)
    assert found.shape == ()


def known(clip: Clip) -> Context:
    return Context(
        body=clip.body, flow=clip.flow, known=True, reference=clip.foreground,
        reference_body=clip.mask, more={"logo": sign(clip)}, network=load_features(),
    )  # fmt: skip


LOGO = ("logo_position", "logo_jitter", "logo_shape", "logo_colour")


@pytest.mark.parametrize(
    ("names", "changes", "words"),
    [
        (["ghosting"], {"body": None}, "where the person is is not known"),
        (["ghosting"], {"body": 0.25}, "where the person is is not known"),
        (["ghosting"], {"body": 0.5}, "where the person is is not known"),
        (["ghosting"], {"body": 1.0}, "leaves no pixel"),
        (["identity_embedded"], {"body": None}, "no reference picture"),
        (["identity_embedded"], {"reference": None}, "no reference picture"),
        (["identity_embedded"], {"reference_body": None}, "no reference picture"),
        (["identity_embedded"], {"reference_body": 0.5}, "shows no person"),
        (LOGO, {"more": {}}, "no sign on the clothes is known"),
        (LOGO, {"more": 0.0}, "the sign is never seen"),
    ],
)
def test_what_lacks_one_thing_says_which(
    clips: list[Clip], names: list[str], changes: dict[str, Any], words: str
) -> None:
    clip = clips[0]
    for key, value in changes.items():
        if isinstance(value, float):
            shape = clip.mask if key == "reference_body" else clip.body
            full = torch.full_like(shape, value)
            changes = {key: {"logo": full} if key == "more" else full}
    for name in names:
        compute = get(Profile.strict, name).compute
        assert compute is not None
        compute(clip.video, clip.video, known(clip))
        with pytest.raises(NoValue, match=words):
            compute(clip.video, clip.video, replace(known(clip), **changes))


@pytest.mark.parametrize("name", ["ghosting", *LOGO])
def test_what_compares_two_frames_needs_two(name: str) -> None:
    assert get(Profile.strict, name).min_frames == 2


@pytest.mark.parametrize(("frames", "samples"), [(10, [10]), (16, [16]), (40, [16, 16])])
def test_features_of_a_video_are_those_of_its_clips(
    clips: list[Clip], frames: int, samples: list[int]
) -> None:
    extractor = get(Profile.strict, "fvd_embedded").extractor
    assert extractor is not None
    video = torch.cat([(255 * clip.video).round().byte() for clip in clips[:3]])[:frames]
    parts = video[: sum(samples)].split(samples)
    expected = torch.cat([features(load_features(), part[None] / 255)[1] for part in parts])
    assert torch.equal(extractor.extract(load_features(), video), expected)
    assert expected.shape == (len(samples), extractor.dimensions)


@pytest.mark.parametrize("name", ["fvd_embedded", "identity_embedded"])
def test_the_shared_network_is_moved_for_nobody(name: str) -> None:
    metric = get(Profile.strict, name)
    network = metric.sight
    assert network is not None
    assert network.load([], torch.device("cpu")) is load_features()
    elsewhere = network.load([], torch.device("meta"))
    assert {p.device.type for p in elsewhere.parameters()} == {"meta"}
    assert {p.device.type for p in load_features().parameters()} == {"cpu"}


def test_registered_metrics_are_the_functions(clips: list[Clip]) -> None:
    clip = clips[1]
    fake = (0.8 * clip.video + 0.2 * clip.video[[0, *range(15)]]).roll(1, 3)
    context = known(clip)

    def value(name: str) -> float:
        compute = get(Profile.strict, name).compute
        assert compute is not None
        return float(compute(clip.video, fake, context))

    found = track(clip.video, fake, sign(clip))
    assert value("logo_position") == found.position_error and value("logo_jitter") == found.jitter
    assert value("logo_shape") == found.shape_error and value("logo_colour") == found.colour_error
    assert value("ghosting") == ghosting(clip.video, fake, clip.body)
    assert 0 < value("warp_error_1") < value("warp_error_4") < 1
    assert 0.5 < value("identity_embedded") < 1 and value("flicker") != 0
