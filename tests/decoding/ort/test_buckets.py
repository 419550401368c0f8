"""Rows move with all that was written to them."""

from __future__ import annotations

import numpy as np
import pytest

from decoding.config import ModelConfig
from decoding.ort.buckets import SHORTEST, Buckets, row_length
from tests.decoding.checkpoints import PLAIN


@pytest.fixture
def buckets():
    """Five slots in rows of 256 places, the later ones fuller; slot s holds the number s."""
    made = Buckets(ModelConfig.from_settings(PLAIN))
    for slot in range(5):
        made.move(slot, 256, 0)
        made.row(slot)[:, :, : 10 * slot + 10] = slot
        made.fill(slot, 10 * slot + 10)
    return made


def check(buckets, slots):
    for slot in slots:
        assert (buckets.row(slot)[:, :, : 10 * slot + 10] == slot).all()


def test_lengths_double():
    assert [row_length(n) for n in (1, SHORTEST, SHORTEST + 1, 1000, 1025)] == [256, 256, 512, 1024, 2048]


@pytest.mark.parametrize("slots", [[1, 3], [4, 2, 0], [4], [0, 1, 2, 3, 4]])
def test_slots_come_to_lie_side_by_side(buckets, slots):
    row, order = buckets.gather(slots)
    bucket = buckets.bucket(slots[0])
    assert set(order) == set(slots)
    assert bucket.slots[row : row + len(slots)] == order
    check(buckets, range(5))


def test_neighbours_stay_where_they_are(buckets):
    assert buckets.gather([3, 2]) == (2, [2, 3])


def test_a_row_moves_with_what_it_keeps_and_leaves_no_hole(buckets):
    assert (buckets.length(1), buckets.length(7)) == (256, 0)
    buckets.move(1, 512, 20)
    assert buckets.length(1) == 512
    check(buckets, range(5))
    assert buckets.bucket(0).slots == [0, 4, 2, 3]
    assert np.shares_memory(buckets.row(1), buckets.bucket(1).kv)
