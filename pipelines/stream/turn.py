"""One batch of one partition: its ticks move their series, round by round, and leave as messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from forecast.online.bank import Ahead
from forecast.types import I64, Bool
from pipelines.kernels import admission
from pipelines.kernels.admission import Arrivals, Steps, settle, touch
from pipelines.kernels.walk import Walks, walk
from pipelines.log.records import Batch, Block, Partition
from pipelines.stream import changelog, driving, letters, patching
from pipelines.stream.counts import Counts
from pipelines.stream.decode import Decoded
from pipelines.stream.desk import Desk
from pipelines.stream.messages import Author, Paths, Press, Sheet, bind
from pipelines.stream.refusals import Letter, Refusal
from pipelines.stream.shard import Shard
from pipelines.stream.topics import Topics

NAIVE = "Naive"
"""`model` of the messages of series that the version does not have."""

_FATES = admission.IDLE + 1
_MOVING = (admission.STEP, admission.WALK, admission.RESET, admission.PATCH)
_DEAD = {
    admission.OFF_GRID: Refusal.OFF_GRID,
    admission.TOO_EARLY: Refusal.TOO_EARLY,
    admission.TOO_FAR_AHEAD: Refusal.TOO_FAR_AHEAD,
    admission.MISSING_EXOG: Refusal.MISSING_EXOG,
}


class Output(NamedTuple):
    """What a batch came to."""

    blocks: list[Block]
    """To be written."""
    counts: Counts


@dataclass(slots=True)
class Turn:
    """A batch while it is processed."""

    desk: Desk
    shard: Shard
    batch: Batch
    decoded: Decoded
    ticks: Arrivals
    press: Press
    topics: Topics
    missing: I64 = field(init=False)
    touched: I64 = field(init=False)
    n_touched: int = 0
    imputed: int = 0
    resets: int = 0
    warming: int = 0
    paths: list[Paths] = field(default_factory=list)
    walks: list[Paths] = field(default_factory=list)
    dead: list[Letter] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.batch.offsets)
        self.missing, self.touched = np.zeros(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        self.dead = list(self.decoded.refused)

    def round(self, todo: I64) -> I64:
        """Do what can be done at once; return the ticks that have to wait for it."""
        shard = self.shard
        shard.round += 1
        later = np.empty(len(todo), dtype=np.int64)
        count = admission.admit(
            shard.series, shard.kept, self.desk.rules, self.ticks, todo, shard.round, self.missing, later
        )
        fates = self.ticks.fate[todo]
        found = np.bincount(fates, minlength=_FATES)
        for fate, work in zip(_MOVING, (self._step, self._walk, self._reset, self._patch), strict=True):
            if found[fate]:
                rows = todo if found[fate] == len(todo) else todo[fates == fate]
                self._touch(rows)
                work(rows)
        if found[admission.NULL_AHEAD] and self.desk.exog:
            ahead = todo[fates == admission.NULL_AHEAD]
            self._touch(ahead[shard.series.slot[self.ticks.series[ahead]] != admission.UNKNOWN])
        self.warming += int(found[admission.IDLE])
        return later[:count]

    def output(self) -> Output:
        """Return what is to be written, and what became of the ticks."""
        sheets: list[Sheet] = []
        for model, paths in ((self.desk.served.alias, self.paths), (NAIVE, self.walks)):
            if paths:
                sheet, failed = self.press.print(self._author(model), self.shard.quote(), _joined(paths))
                sheets.append(sheet)
                self.dead += failed
        found = np.bincount(self.ticks.fate, minlength=_FATES)
        self._refuse(found)
        number, sheets = self.batch.partition.number, [sheet for sheet in sheets if len(sheet.ticks)]
        blocks = []
        if sheets:
            place = Partition(self.topics.forecasts, number)
            blocks.append(bind(place, sheets, self.shard.quote(), self.shard.ids))
        if found[admission.LATE]:
            blocks.append(letters.forward(self.topics.late, self.batch, self._late()))
        if self.dead:
            blocks.append(letters.forward(self.topics.dead, self.batch, self.dead))
        if self.n_touched:
            touched = self.touched[: self.n_touched]
            blocks.append(changelog.write(self.desk, self.shard, touched, self.topics.state, number))
        return Output(blocks, self._counts(found, sum(len(sheet.ticks) for sheet in sheets)))

    def _step(self, rows: I64) -> None:
        """Move series by their models."""
        desk, ticks, missing = self.desk, self.ticks, self.missing[rows]
        if desk.exog:
            self._settle(rows, *driving.step(desk, self.shard, ticks, rows, missing))
        else:
            slots = self.shard.series.slot[ticks.series[rows]]
            self._settle(rows, desk.bank.step(slots, missing, ticks.value[rows]))

    def _settle(self, rows: I64, ahead: Ahead, known: Bool | None = None) -> None:
        """Note what steps have come to; forecasts that are not `known` are dead letters."""
        m, grace = len(rows), self.desk.rules.grace
        imputed = np.empty(m, dtype=np.int64)
        room = (grace + 3) * m if grace else 0
        steps = Steps(np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64), np.empty(room))
        total, count = settle(
            self.shard.series, self.ticks, rows, self.missing, ahead.z, grace, imputed, steps
        )
        if count and self.desk.base is not None:
            self.desk.base.step(steps.slot[:count], steps.missing[:count], steps.value[:count])
        self.imputed += total
        if known is not None and not known.all():
            for i in rows[~known].tolist():
                self.dead.append(Letter(i, Refusal.MISSING_FUTURE.value, self._needs()))
            rows, imputed = rows[known], imputed[known]
            ahead = Ahead(ahead.mean[known], ahead.lo[:, known], ahead.hi[:, known], ahead.z[known])
        if len(rows):
            self._keep(self.paths, rows, ahead, imputed)

    def _keep(self, where: list[Paths], rows: I64, ahead: Ahead, imputed: I64) -> None:
        series = self.ticks.series[rows]
        start, position = self.shard.series.start[series], self.ticks.position[rows]
        where.append(
            Paths(
                rows, series, self.desk.grid.ts_ms(start, position), *ahead, imputed, self.ticks.offset[rows]
            )
        )

    def _walk(self, rows: I64) -> None:
        """Move series that have no model."""
        m, options = len(rows), self.desk.options
        out = Walks(
            np.empty(m, dtype=np.bool_), np.empty(m), np.empty(m, dtype=np.int64), np.empty(m), np.empty(m),
            np.empty(m, dtype=np.int64),
        )  # fmt: skip
        imputed, resets = walk(
            self.shard.series, self.ticks, rows, self.missing, options.gap_cap, options.warm_up, out
        )
        self.imputed += imputed
        self.resets += resets
        warm = np.flatnonzero(out.warm)
        self.warming += m - len(warm)
        if len(warm):
            self._keep(
                self.walks, rows[warm], _naive(out, warm, options.horizon, options.levels), out.imputed[warm]
            )

    def _reset(self, rows: I64) -> None:
        """Begin states anew after gaps too long to fill, and move them."""
        desk, series, at = self.desk, self.shard.series, self.ticks.position[rows]
        some = self.ticks.series[rows]
        series.window[some] = np.nan
        series.seen[some] = series.imputed[some] = self.missing[rows] = 0
        self.resets += len(rows)
        if desk.exog:
            none = self.missing[rows]
            self._settle(rows, *driving.step(desk, self.shard, self.ticks, rows, none, skip=True))
            return
        slots = series.slot[some]
        desk.bank.skip(slots, at)
        if desk.base is not None:
            desk.base.load(series.base_slot[some], *desk.bank.dump(slots))
            series.base[some] = at - 1
        self._step(rows)

    def _patch(self, rows: I64) -> None:
        """Take late values in, and forecast anew."""
        ahead, imputed, at = patching.patch(self.desk, self.shard, self.ticks, rows)
        series = self.ticks.series[rows]
        ts_ms = self.desk.grid.ts_ms(self.shard.series.start[series], at)
        self.paths.append(Paths(rows, series, ts_ms, *ahead, imputed, self.ticks.offset[rows]))

    def _touch(self, rows: I64) -> None:
        self.n_touched = touch(
            self.shard.series, rows, self.ticks, self.shard.batch, self.touched, self.n_touched
        )

    def _author(self, model: str) -> Author:
        served = self.desk.served
        return Author(model, served.version, served.dt_ms, self.desk.options.levels, self.batch.partition)

    def _refuse(self, found: I64) -> None:
        """Make dead letters of ticks that were read and not taken in."""
        for fate, refusal in _DEAD.items():
            if found[fate]:
                for i in np.flatnonzero(self.ticks.fate == fate).tolist():
                    self.dead.append(Letter(i, refusal.value, self._detail(fate, i)))

    def _detail(self, fate: int, i: int) -> str:
        ts_ms, options = int(self.decoded.ts_ms[i]), self.desk.options
        if fate == admission.TOO_EARLY:
            return f"ts_ms {ts_ms} is over {options.lead_ms} ms ahead of the log, {int(self.batch.ts_ms[i])}"
        if fate == admission.TOO_FAR_AHEAD:
            return f"ts_ms {ts_ms} is over {self.desk.rules.ahead} steps ahead of its series"
        if fate == admission.MISSING_EXOG:
            return self._needs()
        freq = self.desk.served.freq
        return f"ts_ms {ts_ms} is over {options.tolerance:g} steps from a point of the grid {freq.text}"

    def _needs(self) -> str:
        return f"the model {self.desk.served.alias!r} needs the regressors {', '.join(self.desk.exog)}"

    def _late(self) -> list[Letter]:
        ticks, position, out = self.ticks, self.shard.series.position, []
        for i in np.flatnonzero(ticks.fate == admission.LATE).tolist():
            behind = int(position[ticks.series[i]] - ticks.position[i])
            detail = f"{behind} steps behind the newest, grace {self.desk.rules.grace}"
            out.append(Letter(i, Refusal.LATE.value, detail))
        return out

    def _counts(self, found: I64, forecasts: int) -> Counts:
        return Counts(
            ticks=len(self.batch.offsets),
            forecasts=forecasts,
            duplicate=int(found[admission.DUPLICATE]),
            late=int(found[admission.LATE]),
            dead=len(self.dead),
            warming=self.warming,
            replayed=int(found[admission.REPLAYED]),
            null_ahead=int(found[admission.NULL_AHEAD]),
            imputed=self.imputed,
            patched=int(found[admission.PATCH]),
            resets=self.resets,
        )


def _joined(paths: list[Paths]) -> Paths:
    """Return paths of several rounds in the order of their ticks."""
    if len(paths) == 1:
        return paths[0]
    order = np.argsort(np.concatenate([part.ticks for part in paths]), kind="stable")
    columns = []
    for name in Paths._fields:
        axis = 1 if name in ("lo", "hi") else 0
        whole = np.concatenate([getattr(part, name) for part in paths], axis=axis)
        columns.append(np.take(whole, order, axis=axis))
    return Paths(*columns)


def _naive(out: Walks, rows: I64, horizon: int, levels: tuple[float, ...]) -> Ahead:
    """Return the last value for ever, with intervals that widen as a random walk does."""
    mean = np.repeat(out.level[rows, None], horizon, axis=1)
    steps = out.age[rows, None] + np.arange(1, horizon + 1)
    spread = np.sqrt(out.sigma2[rows, None] * steps)
    width = np.array([NormalDist().inv_cdf(0.5 + level / 200.0) for level in levels])[:, None, None] * spread
    return Ahead(mean, mean - width, mean + width, out.z[rows])
