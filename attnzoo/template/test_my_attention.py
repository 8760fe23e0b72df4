"""my_attention holds to what it declares, and to what it alone promises."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import attnzoo
from attnzoo.testing import check_attention

attnzoo.load_plugin(Path(__file__).with_name("my_attention.py"))


@pytest.mark.parametrize("check", check_attention("my_attention"))
def test_it_holds_to_what_it_declares(check: Callable[[], None]) -> None:
    """Shapes, receptive field, cost, gradients and what else `attnzoo check` looks at."""
    check()


def test_one_frame_is_a_linear_layer() -> None:
    """A token that attends to itself alone gets its own value, whatever the scores."""
    module = attnzoo.create("my_attention", channels=8, heads=2, width=1)
    x = torch.randn(1, 4, 2, 3, 8)
    value = module.to_qkv(x)[..., 16:]
    torch.testing.assert_close(module(x), module.to_out(value))


def test_the_window_is_an_odd_number_of_frames() -> None:
    """Wrong options are refused with the value and what would be right."""
    for width in (0, 4):
        with pytest.raises(attnzoo.UserError, match=f"width={width} must be a positive odd"):
            attnzoo.create("my_attention", channels=8, heads=2, width=width)
