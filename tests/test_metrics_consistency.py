"""Logo, ghosting and likeness: known shifts, a definition by hand, and the embedded dancers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attnzoo.damage.blur import blurred
from attnzoo.damage.logo import moved
from attnzoo.data.clip import Clip
from attnzoo.data.embedded import open_embedded
from attnzoo.data.wardrobe import ALONG, AROUND, front_logo, person
from attnzoo.metrics.consistency import likenesses
from attnzoo.metrics.features import load_features
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


def test_registered_metrics_are_the_functions(clips: list[Clip]) -> None:
    clip = clips[1]
    fake = (0.8 * clip.video + 0.2 * clip.video[[0, *range(15)]]).roll(1, 3)
    context = Context(
        body=clip.body, flow=clip.flow, known=True, reference=clip.foreground,
        reference_body=clip.mask, more={"logo": sign(clip)}, network=load_features(),
    )  # fmt: skip

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
