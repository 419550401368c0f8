"""The states of many series that come and go, many ticks a call, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.errors import InputError
from forecast.kernels import slot_dump, slot_rows, slot_steps
from forecast.models.ar_spec import check_whole
from forecast.models.assemble import take
from forecast.models.forecasting import check_request
from forecast.models.records import Records
from forecast.online.bank_memory import Memory
from forecast.online.bank_regressors import Regressors
from forecast.online.bank_rows import gathered, layouts_of, packed
from forecast.online.slots import MAX_HORIZON
from forecast.types import F64, I64, Bool

# Rows gathered at once: what that takes besides the slots is then some MB.
_BLOCK_ROWS = 4096

# Steps of a gap that are run one by one: the most that a `skip` costs. A stationary state has forgotten its
# past long before; what an integrated one does not know grows with the gap, and is that of so many steps.
LONG_GAP = 1000

_FLAWS = {
    slot_dump.WRONG_SIZE: "has not the length that the model and its first two numbers say",
    slot_dump.WRONG_HEAD: "does not begin with a number of points and 0 or 1",
    slot_dump.NOT_FINITE: "holds a number that is not finite",
}
_NORMAL = NormalDist()
_Move = Callable[[int], tuple[int, int]]


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
    """Live states of some series of `records`, a slot each.

    Whatever the ticks, states and forecasts are those of `filtering.advance` and `forecasting.forecast`, but
    for rounding. They depend on the ticks of a slot alone, not on how these are cut into calls: to the last
    bit.

    Parameters
    ----------
    records
        The parameters of all series of a model version, and where they stand; no series has a slot yet.
    horizon
        Steps that are forecast at every tick, 1 to 10,000.
    levels
        Coverage of the intervals in percent, inside (0, 100).

    Raises
    ------
    InputError
        `horizon` or `levels` is none of these.
    """

    def __init__(self, records: Records, horizon: int = 24, levels: Sequence[float] = (80, 95)) -> None:
        check_whole("horizon", horizon)
        if horizon > MAX_HORIZON:
            raise InputError(f"horizon must be at most {MAX_HORIZON}, got {horizon}")
        check_request(horizon, levels)
        self.records, self.horizon = records, int(horizon)
        self.levels = tuple(float(level) for level in levels)
        self._reach = np.array([_NORMAL.inv_cdf(0.5 + level / 200.0) for level in self.levels])
        self._layouts = layouts_of(records, self.horizon)
        self._memory = Memory()
        self._exog = Regressors(records, self.horizon)

    @property
    def nbytes(self) -> int:
        """Bytes that the slots take, those kept for slots to come included."""
        return self._memory.nbytes + self._layouts.table.nbytes

    def __len__(self) -> int:
        """Slots in use."""
        return self._memory.count

    def add(self, rows: ArrayLike) -> I64:
        """Give series a slot each, where the record stands; O(k).

        Parameters
        ----------
        rows
            (k,) positions in `records`; one may have several slots.

        Raises
        ------
        InputError
            A position is out of range.
        """
        at = _integers("rows", rows)
        wrong = np.flatnonzero((at < 0) | (at >= self.records.n_series))
        if wrong.size:
            raise InputError(f"row {at[wrong[0]]} is out of range, the records hold {self.records.n_series}")
        slots = self._memory.slots(at)
        for first in range(0, len(at), _BLOCK_ROWS):
            block = slice(first, first + _BLOCK_ROWS)
            some = take(self.records, at[block])
            for which, made in gathered(some, self._layouts):
                self._memory.put(slots[block][which], made)
            for i in some.state_cov:
                self._memory.put_covariance(slots[block][i : i + 1], packed(some.state_cov[i]), self._layouts)
        return slots

    def remove(self, slots: ArrayLike) -> None:
        """Free (k,) slots; they can be given again. InputError where there is no such slot."""
        at = self._slots(slots)
        if len(np.unique(at)) < len(at):
            raise InputError("remove names a slot twice")
        self._memory.free(at, self._layouts.table)

    def step(
        self,
        slots: ArrayLike,
        missing: ArrayLike,
        y: ArrayLike,
        exog: Mapping[str, ArrayLike] | None = None,
        future: Mapping[str, ArrayLike] | None = None,
    ) -> Ahead:
        """Move slots over ticks, in order, each with the forecast that then stands.

        Parameters
        ----------
        slots
            (n,) slots; one may occur several times.
        missing
            (n,) steps that are imputed before the tick.
        y
            (n,) values; NaN (or what has no logarithm, under a log transform, or an innovation beyond
            1e154) is imputed.
        exog
            (n,) regressors at the tick, by name, where the model has any that do not follow from the time.
            They also stand at the imputed steps before it.
        future
            (n, horizon) regressors of the next steps, by name; where one is NaN or not there, so is what
            follows from it.

        Raises
        ------
        InputError
            There is no such slot, or a regressor that the model needs is not given, not finite or so large
            that nothing can follow from it (`lacking` tells where); then nothing has moved.
        """
        at, values = self._slots(slots), _floats("y", y)
        gaps = _integers("missing", missing)
        n, h = len(at), self.horizon
        if gaps.shape != at.shape or values.shape != at.shape:
            raise InputError(f"{n} slots, but {gaps.shape} missing and {values.shape} y; one a tick")
        if n and gaps.min() < 0:
            raise InputError(f"missing must be 0 or more, got {gaps.min()}")
        now, ahead = self._exog.now(exog, at, self._memory.rows), self._exog.ahead(future, n)
        shape = (len(self._reach), n, h)
        out = Ahead(np.empty((n, h)), np.empty(shape), np.empty(shape), np.empty(n))
        memory, given = self._memory, self._exog

        def move(first: int) -> tuple[int, int]:
            return slot_steps.step_many(
                memory.numbers, memory.begins, self._layouts.table, memory.pool, memory.held, memory.taken,
                given.sources, given.lagged, self._layouts.widths, at, gaps, values, now, ahead, first,
                given.back, self._reach, *out,
            )  # fmt: skip

        self._run(move, at)
        return out

    def advance(
        self,
        slots: ArrayLike,
        values: ArrayLike,
        counts: ArrayLike | None = None,
        exog: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        """Move slots over values without forecasting.

        Parameters
        ----------
        slots
            (k,)
        values
            (k, W) oldest first, NaN missing.
        counts
            (k,) how many of each row count, the first ones; all where left out.
        exog
            (k, W) regressors by name, as in `step`.

        Raises
        ------
        InputError
            As `step`.
        """
        at, wide = self._slots(slots), _floats("values", values)
        if wide.ndim != 2 or len(wide) != len(at):
            raise InputError(f"values has shape {wide.shape}, needs ({len(at)}, W)")
        many = np.full(len(at), wide.shape[1]) if counts is None else _integers("counts", counts)
        if many.shape != at.shape or (len(at) and not 0 <= many.min() <= many.max() <= wide.shape[1]):
            raise InputError(f"counts must be {len(at)} numbers in 0..{wide.shape[1]}")
        now = self._exog.over(exog, at, self._memory.rows, many, wide.shape[1])
        self._advance(at, np.zeros(len(at), np.int64), wide, many, now)

    def skip(self, slots: ArrayLike, t: ArrayLike, exog: Mapping[str, ArrayLike] | None = None) -> None:
        """Jump over a stretch without values, however long, to a number of points seen.

        Of a stretch over `LONG_GAP` points only so many are run, at its end and in the same season: the
        levels decay to the mean, or stay, and get as uncertain as after a gap of that length.

        Parameters
        ----------
        slots, t
            (k,) each; `t` not before where the slot stands.
        exog
            (k,) regressors over the stretch by name, as in `step`.

        Raises
        ------
        InputError
            There is no such slot, `t` lies before it, or a regressor is not there.
        """
        at, to = self._slots(slots), _integers("t", t)
        gap = to - self.t(at) if to.shape == at.shape else np.array([-1])
        if len(np.unique(at)) < len(at) or gap.min(initial=0) < 0 or to.max(initial=0) > 2**53:
            raise InputError("skip needs slots, each once, and for each a t that it has not passed")
        now = self._exog.now(exog, at, self._memory.rows)
        memory, season = self._memory, np.maximum(self.records.season_length[self._memory.rows[at]], 1)
        jump = np.maximum(gap - LONG_GAP, 0) // season * season
        memory.numbers[memory.begins[at] + slot_rows.T] += jump
        none = np.zeros(len(at), np.int64)
        self._advance(at, gap - jump, np.empty((len(at), 0)), none, now[:, None])

    def t(self, slots: ArrayLike) -> I64:
        """(k,) points seen, missing ones included."""
        at = self._slots(slots)
        return self._memory.numbers[self._memory.begins[at] + slot_rows.T].astype(np.int64)

    def lacking(self, slots: ArrayLike, exog: Mapping[str, ArrayLike] | None = None) -> Bool:
        """(n,) ticks whose regressors `step` would refuse."""
        return self._exog.lacking(exog, self._slots(slots), self._memory.rows)

    def dump(self, slots: ArrayLike) -> tuple[F64, I64]:
        """Return what a restart needs of (k,) slots besides parameters.

        Returns
        -------
        data, ends
            Numbers of all slots, one after the other (see `kernels/slot_dump`), and (k,) where each ends.
        """
        at, memory, tail = self._slots(slots), self._memory, self._layouts.tail
        ends = np.empty(len(at), np.int64)
        slot_dump.dump_ends(memory.numbers, memory.begins, self._layouts.table, at, tail, ends)
        data = np.empty(int(ends[-1]) if len(ends) else 0)
        slot_dump.dump_many(memory.numbers, memory.begins, self._layouts.table, memory.pool, at, tail, data)
        return data, ends

    def load(self, slots: ArrayLike, data: ArrayLike, ends: ArrayLike) -> None:
        """Put (k,) slots where `dump` found slots of the same series; they then go on to the last bit alike.

        Raises
        ------
        InputError
            Numbers of another length than the models need, or not finite; then nothing has changed.
        """
        at, numbers, bounds = self._slots(slots), _floats("data", data), _integers("ends", ends)
        if numbers.ndim != 1 or bounds.shape != at.shape:
            raise InputError(f"{len(at)} slots, but data {numbers.shape} and ends {bounds.shape}")
        memory, tail = self._memory, self._layouts.tail
        i, why = slot_dump.check_many(
            memory.numbers, memory.begins, self._layouts.table, at, tail, numbers, bounds
        )
        if why != slot_dump.GOOD:
            where = f"the state of slot {at[i]}" if i < len(at) else "data beyond the last slot"
            raise InputError(f"{where} {_FLAWS[why]}; was it dumped under other parameters?")
        first = 0
        while True:
            first = slot_dump.load_many(
                memory.numbers, memory.begins, self._layouts.table, memory.pool, memory.held, memory.taken,
                at, tail, numbers, bounds, first,
            )  # fmt: skip
            if first == len(at):
                return
            memory.make_room(self._layouts)

    def _advance(self, at: I64, missing: I64, values: F64, counts: I64, now: F64) -> None:
        memory, given, done = self._memory, self._exog, np.zeros(len(at), np.int64)

        def move(first: int) -> tuple[int, int]:
            return slot_steps.advance_many(
                memory.numbers, memory.begins, self._layouts.table, memory.pool, memory.held, memory.taken,
                given.sources, given.lagged, self._layouts.widths, at, missing, values, done, counts, now,
                first, given.back, self.horizon,
            )  # fmt: skip

        self._run(move, at)

    def _run(self, move: _Move, at: I64) -> None:
        """Call `move` until all is done, with what it stops for."""
        first, why = move(0)
        while why != slot_steps.DONE:
            if why == slot_steps.FULL:
                self._memory.make_room(self._layouts)
            else:
                self._exog.refill(self._memory, self._layouts, np.unique(at[first:]))
            first, why = move(first)

    def _slots(self, slots: ArrayLike) -> I64:
        at = _integers("slots", slots)
        begins = self._memory.begins
        if at.ndim != 1:
            raise InputError(f"slots must be a list, got shape {at.shape}")
        if len(at) and (at.min() < 0 or at.max() >= len(begins) or begins[at].min() < 0):
            inside = (at >= 0) & (at < len(begins))
            inside[inside] = begins[at[inside]] >= 0
            raise InputError(f"slot {at[int(inside.argmin())]} is not in use")
        return at


def _integers(name: str, values: ArrayLike) -> I64:
    """Return whole numbers in an array of ours, to be changed."""
    array: NDArray[np.generic] = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        raise InputError(f"{name} must be whole numbers, got {array.dtype}")
    return array.astype(np.int64)


def _floats(name: str, values: ArrayLike) -> F64:
    """Return numbers in the one kind of array that the kernels are compiled for."""
    # What was read from a message may be read-only, or begin anywhere.
    try:
        return np.require(values, np.float64, ["C", "A", "W"])
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} must be numbers, got {values!r:.80}") from None
