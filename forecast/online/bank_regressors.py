"""Regressors of the ticks of a bank: those that a caller gives, and those that follow from the time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from forecast.errors import InputError
from forecast.kernels import slot_rows
from forecast.kernels.stream import LARGEST
from forecast.models.assemble import lagged_names
from forecast.models.computed import Moments, is_computed
from forecast.models.records import Records
from forecast.online.bank_memory import Memory
from forecast.online.bank_rows import Layouts
from forecast.types import F64, I64, Bool

Columns = Mapping[str, ArrayLike]


class Regressors:
    """What the models of some records need to know besides y."""

    __slots__ = ("_horizon", "_needed", "_records", "_strength", "back", "lagged", "names", "sources")

    def __init__(self, records: Records, horizon: int) -> None:
        self._records, self._horizon = records, horizon
        lagged, exog = lagged_names(records.exog), records.exog
        self.names = sorted({term.name for term in exog if not is_computed(term.name)})
        """Regressors that a caller gives."""
        self.back = int(records.exog_tail.shape[2])
        """Points of the past that are kept of those that enter with a lag."""
        self.lagged = np.array([self._given(name) for name in lagged], np.int64)
        """(names with a lag,) positions in `names`."""
        self.sources = np.zeros((len(exog), 3), np.int64)
        """(terms, 3) position in `names`, or -1; lag; position among those with a lag."""
        self._needed = np.zeros((records.n_series, len(self.names)), np.bool_)
        self._strength = np.zeros((records.n_series, len(self.names)))
        for j, term in enumerate(exog):
            given = self._given(term.name)
            self.sources[j] = given, term.lag, lagged.index(term.name) if term.lag else 0
            if given >= 0:
                self._needed[:, given] |= True if term.lag else records.beta[:, j] != 0
                self._strength[:, given] += np.abs(records.beta[:, j])

    def _given(self, name: str) -> int:
        return self.names.index(name) if name in self.names else -1

    def now(self, exog: Columns | None, slots: I64, rows: I64) -> F64:
        """(n, names) regressors at n ticks; InputError as `Bank.step`."""
        values = self._table(exog, (len(slots),))
        if values.shape[0] and self.names:
            self._check(values, rows[slots], np.ones(len(slots), np.bool_))
        return values

    def over(self, exog: Columns | None, slots: I64, rows: I64, counts: I64, width: int) -> F64:
        """(k, W, names) regressors over the values of `Bank.advance`."""
        values = self._table(exog, (len(slots), width))
        if self.names:
            for w in range(width):
                self._check(values[:, w], rows[slots], counts > w)
        return values

    def ahead(self, future: Columns | None, n: int) -> F64:
        """(n, names, h) regressors of the next steps, NaN where not known."""
        if not self.names:
            return np.empty((0, 0, 0))
        table = self._table(future, (n, self._horizon))
        table[~np.isfinite(table)] = np.nan
        return np.ascontiguousarray(table.transpose(0, 2, 1))

    def lacking(self, exog: Columns | None, slots: I64, rows: I64) -> Bool:
        """(n,) ticks whose regressors cannot be used."""
        return self._lacking(self._table(exog, (len(slots),)), rows[slots])

    def _table(self, columns: Columns | None, shape: tuple[int, ...]) -> F64:
        """Return columns by name as one array, names last, NaN where there are none."""
        out = np.full((*shape, len(self.names)), np.nan)
        for i, name in enumerate(self.names):
            if columns is None or name not in columns:
                continue
            try:
                column = np.asarray(columns[name], np.float64)
            except (TypeError, ValueError, OverflowError):
                raise InputError(f"regressor {name!r} must be numbers") from None
            if column.shape != shape:
                raise InputError(f"regressor {name!r} has shape {column.shape}, needs {shape}")
            out[..., i] = column
        return out

    def _lacking(self, values: F64, rows: I64) -> Bool:
        needed = self._needed[rows]
        size = np.where(needed, np.abs(values), 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            # NaN is not below either. A state that such a number went into would not recover.
            usable: Bool = (size * np.maximum(self._strength[rows], 1.0)).sum(axis=1) < LARGEST
        return ~usable

    def _check(self, values: F64, rows: I64, used: Bool) -> None:
        wrong = np.flatnonzero(self._lacking(values, rows) & used)
        if not wrong.size:
            return
        i = int(wrong[0])
        have = dict(zip(self.names, values[i].tolist(), strict=True))
        need = [name for name, one in zip(self.names, self._needed[rows[i]].tolist(), strict=True) if one]
        raise InputError(f"tick {i} needs the regressors {need}, finite and not beyond 1e154; it has {have}")

    def refill(self, memory: Memory, layouts: Layouts, slots: I64) -> None:
        """Compute what follows from the time for those of (k,) slots that run short of it."""
        begins = memory.begins[slots]
        which = memory.numbers[begins + slot_rows.LAYOUT].astype(np.int64)
        for layout in np.unique(which).tolist():
            line, mine = layouts.table[layout], which == layout
            points, at = int(line[slot_rows.POINTS]), begins[mine]
            if points:
                t = memory.numbers[at + slot_rows.T].astype(np.int64)
                first, has = t + 1 - line[slot_rows.PAST], memory.numbers[at + slot_rows.FIRST]
                short = (has > first) | (t + 1 + self._horizon >= has + points)
                self._fill(memory, line, at[short], first[short], memory.rows[slots[mine][short]])

    def _fill(self, memory: Memory, line: I64, begins: I64, first: I64, rows: I64) -> None:
        records, points = self._records, int(line[slot_rows.POINTS])
        when = Moments(records.freq, records.start[rows, None], first[:, None] - 1 + np.arange(points))
        for j in range(int(line[slot_rows.TERMS])):
            term, buffer = line[slot_rows.TERM + 2 * j : slot_rows.TERM + 2 * j + 2].tolist()
            if buffer >= 0:
                to = begins + line[slot_rows.BUFFER] + buffer * points
                memory.numbers[to[:, None] + np.arange(points)] = when.values(records.exog[term].name)
        memory.numbers[begins + slot_rows.FIRST] = first
