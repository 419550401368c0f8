"""Parameters of series inside a graph: stored once, gathered by `index` where a file holds many series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge.graph.builder import DOUBLE, Graph, Value
from forecast.types import F64, Bool

# Float32 is within 2^-24 of a number; 127 steps of this reach as far.
FINE: Final = 2.0**-31


@dataclass(frozen=True, slots=True)
class Tables:
    """Makes tables of parameters in `graph`; all that they give can be broadcast over a batch of B series."""

    graph: Graph
    index: Value | None = None
    """(B,) int64 rows of every table; None: tables of all series (of one, where the file holds one)."""

    def rows(self, array: NDArray[Any], store: DTypeLike = np.float64, name: str | None = None) -> Value:
        """Return the rows of `array` (n, ...) for the batch, as float64.

        (B, ...) in general, (1, ...) where all series have the same row or there is only one: then nothing is
        gathered, and what follows from constants alone is computed once, when the file is loaded. An array
        (n,) counts as (n, 1).

        Parameters
        ----------
        store
            The type kept in the file; float32 halves a table whose last digits do not matter.
        name
            Of the stored tensor, for readers that look for it.
        """
        stored = _two_dimensional(array).astype(store)
        kept = self.stored(stored, name)
        return kept if stored.dtype == np.float64 else self.graph.cast(kept, DOUBLE)

    def fine(self, array: F64) -> Value:
        """Return the rows of `array` (n,) in 5 bytes: float32, and 8 more bits (see `fine_parts`)."""
        high, low = fine_parts(_two_dimensional(array))
        base, graph = self.rows(high, np.float32), self.graph
        factor = graph.add("Mul", graph.cast(self.stored(low), DOUBLE), graph.number(FINE))
        return graph.add("Add", base, graph.add("Mul", base, factor))

    def stored(self, array: NDArray[Any], name: str | None = None) -> Value:
        """Return the rows of `array` for the batch, in its own type."""
        if _all_same(array):
            return self.graph.constant(array[:1], name)
        if self.index is None:
            return self.graph.constant(array, name)
        return self.graph.add("Gather", self.graph.constant(array, name), self.index, axis=0)

    def flags(self, flags: Bool) -> Value:
        """Return `flags` (n,) as bool (B, 1), or (1, 1) where all are the same."""
        return self.stored(_two_dimensional(flags))

    def blend(self, flags: Bool, yes: Value, no: Value) -> Value:
        """Return `yes` for the series whose flag is set and `no` for the others, both (B, k)."""
        if flags.all():
            return yes
        return self.graph.add("Where", self.flags(flags), yes, no) if flags.any() else no


def _two_dimensional(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(-1, 1) if array.ndim == 1 else array


def _all_same(array: NDArray[Any]) -> bool:
    return bool((array == array[:1]).all())


def fine_parts(array: F64) -> tuple[F64, NDArray[np.int8]]:
    """Return high (of 24 bits) and low of numbers that are high (1 + low `FINE`), to 2^-32 of themselves."""
    high = array.astype(np.float32).astype(np.float64)
    step = np.where(high == 0.0, 1.0, high * FINE)
    low = np.clip(np.rint((array - high) / step), -127, 127)
    return high, low.astype(np.int8)
