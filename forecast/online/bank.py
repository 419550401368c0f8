"""The states of many series that come and go, many ticks a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from forecast.errors import InputError
from forecast.models.assemble import lagged_names, take
from forecast.models.computed import is_computed
from forecast.models.forecasting import forecast
from forecast.models.records import Records
from forecast.online.state import State, init
from forecast.online.tick import tick
from forecast.types import F64, I64


class Ahead(NamedTuple):
    """The forecasts that stand after n ticks, units of y."""

    mean: F64
    """(n, horizon)"""
    lo: F64
    """(levels, n, horizon)"""
    hi: F64
    z: F64
    """(n,) innovation of the tick over its standard deviation; NaN where it was imputed."""


class Bank:
    """Live states of some series of `records`."""

    def __init__(self, records: Records, horizon: int = 24, levels: Sequence[float] = (80, 95)) -> None:
        self.records, self.horizon, self.levels = records, horizon, tuple(levels)
        self._rows: dict[int, int] = {}
        self._states: dict[int, State] = {}
        self._free: list[int] = []
        self._given = sorted({term.name for term in records.exog if not is_computed(term.name)})

    def add(self, rows: ArrayLike) -> I64:
        """Give (k,) rows of the records a slot each, where the record stands."""
        slots = []
        for row in np.asarray(rows, np.int64).tolist():
            slot = self._free.pop() if self._free else len(self._rows)
            self._rows[slot], self._states[slot] = row, init(self.records, row)
            slots.append(slot)
        return np.array(slots, np.int64)

    def remove(self, slots: ArrayLike) -> None:
        """Free (k,) slots."""
        for slot in np.asarray(slots, np.int64).tolist():
            del self._rows[slot], self._states[slot]
            self._free.append(slot)

    def step(
        self,
        slots: ArrayLike,
        missing: ArrayLike,
        y: ArrayLike,
        exog: Mapping[str, F64] | None = None,
        future: Mapping[str, F64] | None = None,
    ) -> Ahead:
        """Move (n,) slots on in order: `missing` imputed steps, then `y` (NaN: imputed)."""
        at, gaps, values = (np.asarray(slots, np.int64), np.asarray(missing, np.int64), np.asarray(y, float))
        n, h = len(at), self.horizon
        out = Ahead(
            np.empty((n, h)), np.empty((len(self.levels), n, h)), np.empty((len(self.levels), n, h)),
            np.full(n, np.nan),
        )  # fmt: skip
        for i, slot in enumerate(at.tolist()):
            now = {name: float(column[i]) for name, column in (exog or {}).items()}
            for value in [np.nan] * int(gaps[i]) + [float(values[i])]:
                z = self._tick(slot, value, now)
            out.z[i] = np.nan if z is None else z
            ahead = {
                name: np.asarray(future[name], float)[i : i + 1]
                if future and name in future
                else np.full((1, h), np.nan)
                for name in self._given
            }
            found = forecast(self._standing(slot), h, self.levels, ahead)
            out.mean[i], out.lo[:, i], out.hi[:, i] = found.mean[0], found.lo[0], found.hi[0]
        return out

    def advance(self, slots: ArrayLike, values: ArrayLike, counts: ArrayLike | None = None) -> None:
        """Move (k,) slots over (k, W) values, oldest first, NaN missing; the first `counts` of each."""
        wide = np.asarray(values, float)
        many = np.full(len(wide), wide.shape[1]) if counts is None else np.asarray(counts, np.int64)
        for slot, line, count in zip(np.asarray(slots).tolist(), wide, many.tolist(), strict=True):
            for value in line[:count].tolist():
                self._tick(slot, value, {})

    def skip(self, slots: ArrayLike, t: ArrayLike) -> None:
        """Jump over a long stretch without values: the clocks of (k,) slots move on to (k,) points."""
        for slot, to in zip(np.asarray(slots).tolist(), np.asarray(t, np.int64).tolist(), strict=True):
            while self._states[slot].t < to:
                self._tick(slot, np.nan, {})

    def t(self, slots: ArrayLike) -> I64:
        """(k,) points seen, missing ones included."""
        return np.array([self._states[slot].t for slot in np.asarray(slots).tolist()], np.int64)

    def dump(self, slots: ArrayLike) -> tuple[F64, I64]:
        """Everything a restart needs of (k,) slots: flat, and (k,) where each ends."""
        parts = []
        for slot in np.asarray(slots).tolist():
            state = self._states[slot]
            part = [float(state.t), float(state.cov is None), *state.levels, *state.innovations]
            if state.cov is not None:
                part += [x for i, line in enumerate(state.cov) for x in line[: i + 1]]
            for past in state.exog_tail.values():
                part += past
            parts.append(part)
        ends = np.cumsum([len(part) for part in parts]).astype(np.int64)
        return np.array([x for part in parts for x in part], float), ends

    def load(self, slots: ArrayLike, data: F64, ends: I64) -> None:
        """Put (k,) slots where `dump` found them."""
        first = 0
        for slot, end in zip(np.asarray(slots).tolist(), ends.tolist(), strict=True):
            self._states[slot] = self._read(slot, data[first:end])
            first = end

    def _read(self, slot: int, part: F64) -> State:
        L, q = len(self._states[slot].levels), len(self._states[slot].innovations)
        M, names = L + q, lagged_names(self.records.exog)
        back = self.records.exog_tail.shape[2]
        known = bool(part[1])
        if len(part) != 2 + M + (0 if known else M * (M + 1) // 2) + len(names) * back:
            raise InputError(f"the state of slot {slot} has {len(part)} numbers")
        cov, at = None, 2 + M
        if not known:
            P = np.zeros((M, M))
            P[np.tril_indices(M)] = part[at : at + M * (M + 1) // 2]
            P = P + np.tril(P, -1).T
            cov, at = tuple(tuple(line) for line in P.tolist()), at + M * (M + 1) // 2
        tail = {
            name: tuple(part[at + j * back : at + (j + 1) * back].tolist()) for j, name in enumerate(names)
        }
        return State(
            int(part[0]), tuple(part[2 : 2 + L].tolist()), tuple(part[2 + L : 2 + M].tolist()), cov, tail
        )

    @property
    def nbytes(self) -> int:
        """Bytes that the states take."""
        return sum(8 * (2 + len(s.levels) + len(s.innovations)) for s in self._states.values())

    def _tick(self, slot: int, y: float, exog: Mapping[str, float]) -> float | None:
        self._states[slot], info = tick(self.records, self._states[slot], self._rows[slot], y, exog)
        return info.z

    def _standing(self, slot: int) -> Records:
        state, one = self._states[slot], take(self.records, np.array([self._rows[slot]]))
        levels, innov = np.array(one.levels), np.array(one.innovations)
        levels[0, : len(state.levels)], innov[0, : len(state.innovations)] = state.levels, state.innovations
        return replace(
            one,
            nobs=np.array([state.t], np.int32),
            levels=levels,
            innovations=innov,
            state_cov={} if state.cov is None else {0: np.array(state.cov)},
            exog_tail=np.array(list(state.exog_tail.values()))[None] if state.exog_tail else one.exog_tail,
        )
