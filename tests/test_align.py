"""Align and Restore against equations 6 and 7 in a plain loop, and against no alignment."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest
import torch
from command import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attnzoo import registry
from attnzoo.attention._align import Align, align_maps
from attnzoo.attention._subspace import reference_frames, segments
from attnzoo.attention.stsa_flow import Aligned
from attnzoo.motion import Motion
from attnzoo.testing.receptive_field import slot_receptive_field
from attnzoo.testing.reference import stsa_flow as plain

grids = st.tuples(st.integers(1, 6), st.integers(1, 6))
seeds = st.integers(0, 10_000)


def random_flow(seed: int, *shape: int, speed: float = 2.0) -> Tensor:
    return speed * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def flat(maps: dict, h: int, w: int) -> list[int]:
    return [maps[cell][0] * w + maps[cell][1] for cell in plain.cells(h, w)]


@pytest.mark.parametrize("align", Align)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    grid=grids,
    seed=seeds,
    speed=st.sampled_from([0.3, 1.5, 4.0, 50.0]),
    whole=st.booleans(),
    camera=st.sampled_from([0.0, 1.0, -2.5]),
)
def test_maps_are_those_of_the_plain_loop(align, grid, seed, speed, whole, camera):
    h, w = grid
    flow = random_flow(seed, 2, 3, 2, h, w, speed=speed)
    flow = (flow.round() if whole else flow) + camera  # whole cells make ties
    flow[0, 1, 0, 0, 0], flow[1, 0, 1, -1, -1] = torch.nan, torch.inf
    source, target = align_maps(flow, align)
    assert source.shape == target.shape == (2, 3, h * w)
    for b in range(2):
        for k in range(3):
            expected = plain.align(flow[b, k], align.name)
            assert source[b, k].tolist() == flat(expected[0], h, w)
            assert target[b, k].tolist() == flat(expected[1], h, w)


def maps_of(flow: list[tuple[float, float]], align: Align) -> tuple[list[int], list[int]]:
    """Maps of a frame of one row, from (dx, dy) of each cell."""
    tensor = torch.tensor(flow).T.view(1, 1, 2, 1, -1)
    source, target = align_maps(tensor, align)
    return source.flatten().tolist(), target.flatten().tolist()


def test_shortest_displacement_wins_then_the_lowest_index():
    # 0, 1 and 3 all go to 2, and 2 goes to 4, where 4 itself stays.
    flow = [(2.0, 0.0), (1.0, 0.0), (2.0, 0.0), (-1.0, 0.0), (0.0, 0.0)]
    source, target = maps_of(flow, Align.scatter)
    assert target == [2, 2, 4, 2, 4]
    assert source == [0, 1, 1, 3, 4]  # 1 wins over 3 by index, over 0 by distance; holes keep
    source, target = maps_of(flow, Align.permute)
    # Losers 0, 2, 3 in turn; free are 0, 1, 3. 0 wants 2: 1 and 3 are as near. 2 wants 4.
    assert target == [1, 2, 3, 0, 4]
    assert [source[t] for t in target] == [0, 1, 2, 3, 4]


def test_a_target_outside_the_frame_stays():
    source, target = maps_of([(-1.0, 0.0), (0.0, 1.0), (0.6, 0.0)], Align.scatter)
    assert target == [0, 1, 2] and source == [0, 1, 2]
    assert maps_of([(0.4, 0.0), (-0.5, 0.4), (-0.6, 0.0)], Align.scatter)[1] == [0, 1, 1]
    assert maps_of([(1e30, 0.0), (0.0, -1e30)], Align.scatter)[1] == [0, 1]


wild = st.one_of(
    st.floats(-9, 9, width=32),
    st.floats(width=32),  # NaN, infinity and numbers that no integer holds
    st.sampled_from([0.5, -0.5, 0.49999997, -0.50000006, 1e38, -1e38]),
)


@pytest.mark.parametrize("align", Align)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(grid=grids, data=st.data())
def test_restore_undoes_align_for_whatever_flow(align, grid, data):
    h, w = grid
    values = data.draw(st.lists(wild, min_size=2 * h * w, max_size=2 * h * w))
    flow = torch.tensor(values).view(1, 1, 2, h, w)
    source, target = align_maps(flow, align)
    own = torch.arange(h * w).expand_as(source)
    assert source.dtype == target.dtype == torch.int64
    assert min(source.min(), target.min()) >= 0 and max(source.max(), target.max()) < h * w
    if align is not Align.scatter:
        assert torch.equal(source.gather(2, target), own)
        assert torch.equal(target.gather(2, source), own)
    expected = plain.align(flow[0, 0], align.name)
    assert (source.flatten().tolist(), target.flatten().tolist()) == (
        flat(expected[0], h, w),
        flat(expected[1], h, w),
    )


THREADS = """
import torch
from attnzoo.attention._align import Align, align_maps
from attnzoo.motion import Motion

flow = torch.randn(1, 6, 6, 2, 128, 128, generator=torch.Generator().manual_seed(0)).mul(20)
moved = torch.nn.functional.avg_pool2d(flow.flatten(0, 3), 9, 1, 4).view(flow.shape)
for threads in (1, 2, 3, 5):
    torch.set_num_threads(threads)
    for turn in range(2):
        found = Motion.pairs(moved).to([2] * 6, 48, 32)
        maps = [found] + [m for align in Align for m in align_maps(found, align)]
        print([hash(m.numpy().tobytes()) for m in maps])
"""


def test_maps_are_the_same_again_and_on_every_number_of_threads():
    # In a process of its own, since the number of threads is the whole process's.
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", THREADS],
        env={**environment, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 8 and len(set(lines)) == 1, done.stdout


def test_a_moving_camera_leaves_cycles_where_they_are_and_a_turn_is_followed():
    pan = torch.zeros(1, 1, 2, 6, 6)
    pan[:, :, 0] = 1.0
    own = torch.arange(36).view(1, 1, 36)
    for maps in align_maps(pan, Align.cycles):
        assert torch.equal(maps, own)
    assert not torch.equal(align_maps(pan, Align.permute)[0], own)
    # Four patches that change places in a ring, and one that walks into the place of a resting one.
    turn = torch.zeros(1, 1, 2, 6, 6)
    turn[0, 0, 0, 1, 1], turn[0, 0, 1, 1, 2] = 1.0, 1.0
    turn[0, 0, 0, 2, 2], turn[0, 0, 1, 2, 1] = -1.0, -1.0
    source, target = align_maps(turn, Align.cycles)
    assert target[0, 0, [7, 8, 14, 13]].tolist() == [8, 14, 13, 7]
    assert source.ne(own).sum() == 4


def test_a_chain_closes_where_it_is_long_enough_to_pay():
    def moved(cells: int) -> list[int]:
        flow = [(0.0, 0.0)] + [(2.0, 0.0)] * cells + [(0.0, 0.0)] * 9
        return maps_of(flow, Align.cycles)[1]

    # Two chains of steps of two: each mover gains 4, and the last, which rests, costs 8.
    assert moved(2) == list(range(12))
    assert moved(4)[1:7] == [3, 4, 5, 6, 1, 2]
    # Half a cell is hardly a gain: nobody moves.
    assert maps_of([(0.5, 0.0)] * 4 + [(0.0, 0.0)] * 5, Align.cycles)[1] == list(range(9))


def test_everything_to_one_cell():
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(8.0), indexing="ij")
    flow = torch.stack([3 - x, 2 - y])[None, None]
    source, target = align_maps(flow, Align.scatter)
    assert target.eq(2 * 8 + 3).all() and torch.equal(source[0, 0], torch.arange(56))
    for align in (Align.permute, Align.cycles):
        assert align_maps(flow, align)[1].unique().numel() == 56


@pytest.mark.parametrize("align", Align)
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("bias", ["none", "relative"])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(shape=st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9)), seed=seeds)
def test_zero_flow_is_stsa_bit_for_bit(align, shift, bias, shape, seed):
    options = {"size": (2, 3, 4), "shift": shift, "bias": bias}
    module = registry.create("stsa_flow", 8, 2, **options, align=align)
    plain_module = registry.create("stsa", 8, 2, **options)
    plain_module.load_state_dict(module.state_dict())
    f, h, w = shape
    x = random_flow(seed, 2, f, h, w, 8).requires_grad_()
    y = x.detach().clone().requires_grad_()
    still = Motion(lambda k, r: torch.zeros(2, 2, 16, 16))
    delta, expected = module(x, flow=still), plain_module(y)
    assert torch.equal(delta, expected)
    assert torch.equal(module(x, flow=torch.zeros(2, f, 2, h, w)), expected)
    delta.square().sum().backward()
    expected.square().sum().backward()
    assert torch.equal(x.grad, y.grad)


@pytest.mark.parametrize("aligned", Aligned)
@pytest.mark.parametrize("shift", [False, True])
def test_a_module_that_does_not_follow_is_stsa_bit_for_bit(aligned, shift):
    options = {"size": (2, 3, 4), "shift": shift}
    module = registry.create("stsa_flow", 8, 2, **options, aligned=aligned)
    others = {name: registry.create(name, 8, 2, **options) for name in ("stsa", "stsa_flow")}
    x, flow = random_flow(0, 1, 5, 7, 6, 8), random_flow(1, 1, 5, 2, 7, 6)
    follows = {"all": True, "shifted": shift, "unshifted": not shift}[aligned.name]
    assert module.follows is follows
    for name, other in others.items():
        other.load_state_dict(module.state_dict())
        given_flow = {"flow": flow} if name == "stsa_flow" else {}
        same = torch.equal(module(x, flow=flow), other(x, **given_flow))
        assert same == (follows == (name == "stsa_flow")), name
        seen = module.sees((2, 3, 3), (5, 7, 6), flow=flow)
        assert torch.equal(seen, other.sees((2, 3, 3), (5, 7, 6), **given_flow)) == same, name


def test_a_slot_with_one_aligned_module_sees_what_both_see_together():
    query, shape = (5, 4, 5), (8, 8, 8)
    flow = random_flow(0, 1, 8, 2, 8, 8)
    fields = {
        a: slot_receptive_field("stsa_flow", query, shape, flow=flow, aligned=a.name)
        for a in Aligned
    }
    still = slot_receptive_field("stsa", query, shape)
    pairs = [still, *fields.values()]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(pairs, 2))


@pytest.mark.parametrize("align", Align)
def test_colliding_patches_read_one_result(align):
    module = registry.create("stsa_flow", 8, 2, size=(1, 2, 2), align=align)
    flow = torch.zeros(1, 1, 2, 1, 4)
    flow[0, 0, 0, 0, 0] = 1.0  # cell 0 to cell 1, which stays
    delta = module(random_flow(0, 1, 1, 1, 4, 8), flow=flow)[0, 0, 0]
    assert torch.equal(delta[0], delta[1]) == (align is Align.scatter)


@pytest.mark.parametrize("shift", [False, True])
@given(frames=st.integers(1, 20), size=st.integers(1, 9))
@settings(deadline=None, derandomize=True)
def test_reference_frame_is_the_middle_of_the_clipped_group(shift, frames, size):
    expected = [plain.reference_frame(k, frames, size, shift) for k in range(frames)]
    assert reference_frames(frames, size, shift) == expected


def test_reference_frames_of_the_paper():
    assert reference_frames(8, 4, False) == [1] * 4 + [5] * 4
    assert reference_frames(8, 4, True) == [0] * 2 + [3] * 4 + [6] * 2
    assert segments(8, 4, True) == [(0, 2), (2, 6), (6, 8)]
    assert segments(4, 4, True) == [(0, 4)]
    assert segments(9, 3, True) == [(0, 1), (1, 4), (4, 7), (7, 9)]


def test_maps_are_made_once_for_all_layers_and_steps():
    calls: list[tuple[int, int]] = []

    def pair(k: int, r: int) -> Tensor:
        calls.append((k, r))
        return random_flow(10 * k + r, 1, 2, 12, 12)

    motion = Motion(pair, frames=4)
    layers = [registry.create("stsa_flow", 8, 2, size=s) for s in ((4, 2, 2), (4, 3, 3), (4, 2, 2))]
    x = random_flow(0, 1, 4, 6, 6, 8)
    for _ in range(2):
        guided = motion.repeat(2)
        assert guided is motion.repeat(2)
        single = [layer(x, flow=motion) for layer in layers]
        double = [layer(torch.cat([x, x]), flow=guided) for layer in layers]
    for one, two in zip(single, double, strict=True):
        torch.testing.assert_close(two, torch.cat([one, one]))
    assert len(calls) == len(set(calls))


def test_wrong_flow_is_refused():
    module, x = registry.create("stsa_flow", 8, 2), torch.zeros(2, 3, 4, 4, 8)
    with pytest.raises(ValueError, match=r"flow must be \[2, 3, 2, 4, 4\], not \[2, 3, 2, 4, 5\]"):
        module(x, flow=torch.zeros(2, 3, 2, 4, 5))
    with pytest.raises(ValueError, match="motion of 1 clips for a batch of 2"):
        module(x, flow=Motion.pairs(torch.zeros(1, 3, 3, 2, 4, 4)))
    with pytest.raises(ValueError, match="3 reference frames for a motion of 5 frames"):
        module(x, flow=Motion.pairs(torch.zeros(2, 5, 5, 2, 4, 4)))


def test_alignment_brings_a_moving_patch_to_its_place_in_the_reference():
    frames, size = 4, 8
    mark = [2, 3, 5, 6]  # the column of a mark that moves along row 1
    motion = torch.zeros(1, frames, frames, 2, size, size)
    for k in range(frames):
        for r in range(frames):
            motion[0, k, r, 0, 1, mark[k]] = mark[r] - mark[k]
    flow = Motion.pairs(motion).to([1] * frames, size, size)
    source, _ = align_maps(flow, Align.scatter)
    still = source[0, :, 8 + mark[1]].tolist()
    # The background that stays in the reference's cell is nearer to it: it wins there.
    assert still == [8 + mark[1]] * frames
    motion[0, :, 1, 0, 1, mark[1]] = 9.0  # leaves the cell free for who comes
    motion[0, range(frames), 1, 1, 1, mark[1]] = 3.0
    motion[0, 1, 1] = 0.0
    motion[0, [0, 2, 3], 1, 0, 1, mark[1]] = 0.0
    flow = Motion.pairs(motion).to([1] * frames, size, size)
    source, _ = align_maps(flow, Align.scatter)
    assert source[0, :, 8 + mark[1]].tolist() == [8 + m for m in mark]
