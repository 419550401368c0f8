"""step.onnx and the state of a series: one tick at a time, each point of the grid exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .answer import Forecast, path
from .errors import BundleError, ClockError, DeviceError, RegressorError, RequestError
from .grid import Grid
from .initial import InitialStates
from .kept import Kept, KeptStates, PastTick
from .model import Model
from .regressors import Given, fill_calendar, read_tick
from .schema import Schema

F64 = NDArray[np.float64]

# Points of a gap that are filled one by one, 0.1 ms each; as in the stream.
GAP_CAP: Final = 1000


@dataclass(frozen=True, slots=True)
class Stepper:
    """Moves series through ticks."""

    model: Model
    schema: Schema
    initial: InitialStates
    states: KeptStates
    gap_cap: int = GAP_CAP

    def step(self, row: int, y: float | None, ts_ms: int | None, X: Given | None) -> Forecast:
        """Take one tick in and forecast from it; the state is written when all else has gone well.

        Raises
        ------
        ClockError
            The time was seen already, or lies over `gap_cap` points ahead.
        RegressorError
            A regressor of the tick is missing, or the tick ends a gap whose regressors are not known.
        RequestError
            y is no number, or the state would not be finite.
        """
        series, value = str(self.schema.series[row]), _value(y)
        x = read_tick(X, self._exog, self.schema.horizon)
        with self.states.transaction():
            kept = self._standing(row)
            at = self.grid.time(kept.ts_ms, 1) if ts_ms is None else ts_ms
            kept, found = self._moved(row, kept, at, value, x)
            answer = path(self.schema.series[row], kept.ts_ms, self.schema.levels, found)
            exog = {col.name: float(x[0, j]) for j, col in enumerate(self._exog) if not col.computed}
            seen = None if np.isnan(value) else value
            self.states.put(series, kept, PastTick(kept.ts_ms, seen, exog))
        z = float(found["z"][0])
        return replace(answer, z=None if np.isnan(z) else z, imputed=float(found["imputed"][0]), gap=kept.gap)

    def forecast(self, row: int, X: Given | None) -> Forecast:
        """Forecast from where the series stands; nothing moves.

        Parameters
        ----------
        X
            Regressors of the next points by name, at least `horizon` values each.
        """
        H, exog = self.schema.horizon, self._exog
        with self.states.transaction():
            kept = self._standing(row)
        ahead = np.zeros((H, len(exog)))
        if any(not column.computed for column in exog):
            needed = {col.name for col in exog if not col.computed}
            short = [name for name in sorted(needed) if np.size((X or {}).get(name, ())) < H]
            if short:
                raise RegressorError(f"the regressors {short} need {H} values each, for the next {H} points")
            ahead = read_tick(X, exog, H - 1)
        x = np.concatenate([np.zeros((1, len(exog))), kept.tail, ahead])
        fill_calendar(x, exog, self.grid, kept.ts_ms, -self.schema.n_step_past)
        # y = inf means "no tick"; t and x are then those of the last tick seen.
        found = self._run(row, kept._replace(t=kept.t - 1), np.inf, x[-(self.schema.n_step_past + 1 + H) :])
        if not np.array_equal(found["state_out"][0], kept.state):
            raise BundleError("step.onnx of this bundle cannot forecast without a tick; export it anew")
        return replace(path(self.schema.series[row], kept.ts_ms, self.schema.levels, found), gap=kept.gap)

    @property
    def grid(self) -> Grid:
        """The grid of times."""
        return Grid(self.schema.freq)

    @property
    def _exog(self) -> tuple[Any, ...]:
        return self.schema.exog if "x" in self.model.inputs else ()

    def _standing(self, row: int) -> Kept:
        """Return where a series stands, once it has caught up on ticks that another release took in."""
        series = str(self.schema.series[row])
        kept = self.states.get(series) or self.initial.kept(row)
        if kept.state.shape != (self.schema.M,):
            raise DeviceError(
                f"state.db is damaged where series {series!r} stands: {len(kept.state)} numbers instead of "
                f"{self.schema.M}; move the file away, and the series begin where the bundle was made"
            )
        for tick in self.states.after(series, kept.ts_ms):
            try:
                x = read_tick(tick.exog, self._exog, self.schema.horizon)
                kept, _ = self._moved(row, kept, tick.ts_ms, _value(tick.value), x)
            except RequestError:  # of another model's regressors, or grid: the series waits for its next tick
                break
        return kept

    def _moved(
        self, row: int, kept: Kept, ts_ms: int, y: float, x: F64
    ) -> tuple[Kept, Mapping[str, NDArray[Any]]]:
        """Move over the points up to `ts_ms`, those before it as missing."""
        ahead = self.grid.position(ts_ms, kept.ts_ms)
        name = self.schema.series[row]
        if ahead < 1:
            raise ClockError(
                f"series {name!r}: {ts_ms} is not after {kept.ts_ms}, the last point seen: the clock is "
                "going back, or the tick came twice; it is not taken in"
            )
        if ahead - 1 > self.gap_cap:
            raise ClockError(
                f"series {name!r}: {ts_ms} leaves {ahead - 1} points out after {kept.ts_ms}, at most "
                f"{self.gap_cap} are filled; raise the gap cap, or export the model anew",
                "too_far_ahead",
            )
        if ahead > 1 and any(not column.computed for column in self._exog):
            raise RegressorError(
                f"series {name!r}: {ahead - 1} points are missing before {ts_ms}, and their regressors are "
                'not known; send a tick with "value": null and its regressors for each of them'
            )
        found: Mapping[str, NDArray[Any]] = {}
        for k in range(ahead):
            kept, found = self._point(row, kept, y if k == ahead - 1 else np.nan, x)
        if self.schema.freq.kind == "ticks":  # its points are where the ticks are
            kept = kept._replace(ts_ms=ts_ms)
        return kept, found

    def _point(self, row: int, kept: Kept, y: float, x: F64) -> tuple[Kept, Mapping[str, NDArray[Any]]]:
        window = np.concatenate([kept.tail[:, : x.shape[1]], x])
        ts_ms, past = self.grid.time(kept.ts_ms, 1), self.schema.n_step_past
        fill_calendar(window, self._exog, self.grid, ts_ms, -past)
        found = self._run(row, kept, y, window)
        state, cov = found["state_out"][0], found["cov_out"][0]
        if not (np.isfinite(state).all() and np.isfinite(cov).all()):
            raise RequestError(
                f"series {self.schema.series[row]!r}: {y!r} would make its state infinite; not taken in",
                "not_finite",
            )
        missing = bool(np.isnan(found["z"][0]))
        tail = window[1 : past + 1] if x.shape[1] else kept.tail
        return (
            Kept(ts_ms, kept.t + 1, kept.gap + 1 if missing else 0, state, cov if cov.any() else None, tail),
            found,
        )

    def _run(self, row: int, kept: Kept, y: float, x: F64) -> Mapping[str, NDArray[Any]]:
        M = self.schema.M
        cov = np.zeros((M, M)) if kept.cov is None else kept.cov
        return self.model.run(
            {
                "index": np.array([row]),
                "y": np.array([y]),
                "state": kept.state[None],
                "cov": cov[None],
                "t": np.array([kept.t]),
                "x": x[None],
            }
        )


def _value(y: object) -> float:
    """Return a value; NaN for None, and for what is not finite."""
    if y is None:
        return np.nan
    if isinstance(y, bool) or not isinstance(y, (int, float, np.integer, np.floating)):
        raise RequestError(f"y must be a number, NaN or None, got {y!r:.80}", "wrong_type")
    if np.isinf(float(y)):
        raise RequestError(f"y must be finite, NaN or None, got {y!r}", "not_finite")
    return float(y)
