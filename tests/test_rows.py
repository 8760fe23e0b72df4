"""A choice of rows: what is known of it where there are no values."""

from __future__ import annotations

import torch

from attnzoo.attention._rows import Rows


def test_rows_without_values_are_an_index_alone():
    """On the meta device there is nothing to look at; so many rows come of it all the same."""
    rows = Rows.of(torch.tensor([2, 0, 0], device="meta"), 3)
    assert (rows.reader, rows.read, rows.again) == (None, None, None)
    assert rows.take(torch.zeros(3, 4, device="meta")).shape == (3, 4)
