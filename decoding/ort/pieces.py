"""A step taken apart into pieces that follow each other in their slots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from decoding.step import StepBatch
from forecast.types import I64


class Piece(NamedTuple):
    """Tokens of one slot, one after the other: `at` are their indices in the batch."""

    slot: int
    start: int
    at: I64


def pieces(batch: StepBatch) -> Iterator[Piece]:
    """Take a batch apart, by slot and place."""
    order = np.lexsort((batch.kv_index, batch.slot))
    slot, place = batch.slot[order], batch.kv_index[order]
    breaks = np.flatnonzero((slot[1:] != slot[:-1]) | (place[1:] != place[:-1] + 1)) + 1
    starts = [0, *breaks.tolist()] if len(order) else []
    for first, at in zip(starts, np.split(order, breaks), strict=False):
        yield Piece(int(slot[first]), int(place[first]), at)


def waves(batch: StepBatch) -> list[list[Piece]]:
    """Pieces that can run in any order; what comes later in a slot is in a later wave."""
    found: list[list[Piece]] = []
    seen: dict[int, int] = {}
    for piece in pieces(batch):
        wave = seen.get(piece.slot, 0)
        seen[piece.slot] = wave + 1
        if wave == len(found):
            found.append([])
        found[wave].append(piece)
    return found
