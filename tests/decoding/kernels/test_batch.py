"""A step's tokens are cut into runs, and what does not exist is found before an address is formed."""

from __future__ import annotations

import numpy as np
import pytest

from decoding.kernels.batch import BAD_BLOCK, BAD_PLACE, BAD_SLOT, BAD_TOKEN, plan_runs

TABLE = np.array([[2, 0, -1], [1, 3, -1]], np.int32)


def plan(tokens, slots, places, *, longest=10, want=None, table=TABLE):
    n = len(tokens)
    runs, wanted = np.empty((n, 2), np.int64), np.empty(n, np.int64)
    want = np.ones(n, bool) if want is None else np.array(want)
    found = plan_runs(
        np.array(tokens, np.int32), np.array(slots, np.int32), np.array(places, np.int64), want, table,
        50, 4, 16, longest, runs, wanted,
    )  # fmt: skip
    return found, runs, wanted


def test_tokens_that_follow_each_other_are_a_run():
    (n_runs, n_wanted), runs, wanted = plan(
        [1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 0], [3, 4, 5, 6, 8, 9], want=[0, 0, 1, 1, 0, 1]
    )
    assert runs[:n_runs].tolist() == [[0, 3], [3, 1], [4, 1], [5, 1]]
    assert wanted[:n_wanted].tolist() == [2, 3, 5]


def test_a_long_run_is_cut():
    (n_runs, _), runs, _ = plan([1] * 7, [0] * 7, range(7), longest=3)
    assert runs[:n_runs].tolist() == [[0, 3], [3, 3], [6, 1]]


@pytest.mark.parametrize(
    ("tokens", "slots", "places", "fault"),
    [
        ([1, 50], [0, 0], [0, 1], BAD_TOKEN),
        ([1, -1], [0, 0], [0, 1], BAD_TOKEN),
        ([1, 1], [0, 2], [0, 1], BAD_SLOT),
        ([1, 1], [0, -1], [0, 1], BAD_SLOT),
        ([1, 1], [0, 0], [0, 48], BAD_PLACE),
        ([1, 1], [0, 0], [0, -1], BAD_PLACE),
        ([1, 1], [0, 1], [0, 32], BAD_BLOCK),
    ],
)
def test_what_does_not_exist_is_named_by_its_token(tokens, slots, places, fault):
    assert plan(tokens, slots, places)[0] == (fault, 1)


def test_a_block_before_the_place_must_exist_too():
    table = np.array([[4, 0]], np.int32)
    assert plan([1], [0], [16], table=table)[0] == (BAD_BLOCK, 0)
