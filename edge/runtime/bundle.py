"""A bundle that answers: forecasts from a history, and step by step from a state."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answer import Forecast, path
from .errors import BundleError, HistoryError, RequestError, UnknownSeriesError
from .fill import fill
from .grid import Grid
from .initial import InitialStates
from .kept import KeptStates, MemoryStates
from .keys import TrustedKeys, one_key, read_keys
from .manifest import Manifest
from .model import Model
from .readiness import check_agreement
from .regressors import Given, fill_calendar, read_window
from .schema import Schema, read_schema
from .stepping import GAP_CAP, Stepper
from .verify import VerifiedBundle, verify

F64 = NDArray[np.float64]


class Bundle:
    """A verified bundle. Models and states are loaded when they are first needed."""

    def __init__(
        self, verified: VerifiedBundle, states: KeptStates | None = None, gap_cap: int = GAP_CAP
    ) -> None:
        self._verified = verified
        self.schema: Schema = read_schema(verified.read("schema.json"))
        check_agreement(verified.manifest, self.schema)
        self._states = MemoryStates() if states is None else states
        self._gap_cap = gap_cap
        self._initial = InitialStates(verified, self.schema)

    @staticmethod
    def open(
        path: str | os.PathLike[str],
        public_key: bytes | str | None = None,
        keys: TrustedKeys | str | os.PathLike[str] | None = None,
        states: KeptStates | None = None,
        gap_cap: int = GAP_CAP,
    ) -> Bundle:
        """Open a bundle (folder or archive) whose every file is what a trusted key signed.

        Parameters
        ----------
        public_key
            The one key to trust: 32 bytes or 64 hex digits.
        keys
            Or several: `TrustedKeys`, or the path of a keys.json.
        states
            Where the states of `step` are kept; in memory by default.
        gap_cap
            Points missing between two ticks that `step` fills.

        Raises
        ------
        SignatureError
            The bundle is not signed, or by nobody who is trusted.
        BundleError
            A file is not what was signed, or the bundle is not one.
        """
        verified = verify(path, _trusted(public_key, keys))
        try:
            verified.check_all()
            return Bundle(verified, states, gap_cap)
        except BaseException:
            verified.close()
            raise

    def keep_states(self, states: KeptStates) -> None:
        """Keep the states of `step` elsewhere; to be called before the first one."""
        self._states = states

    def close(self) -> None:
        """Let go of the archive."""
        self._verified.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def manifest(self) -> Manifest:
        """What was signed."""
        return self._verified.manifest

    @property
    def series(self) -> tuple[str | int, ...]:
        """Ids, in the order of the states."""
        return self.schema.series

    def step(
        self, series_id: str | int, y: float | None, ts_ms: int | None = None, X: Given | None = None
    ) -> Forecast:
        """Take one tick in and forecast from it.

        Parameters
        ----------
        y
            The value; NaN or None where it is missing.
        ts_ms
            Its time, ms UTC: the nearest point of the grid is meant. None: the next point.
        X
            Regressors by name: the value at the tick, or also those of the next points, in their order. Where
            these end before the horizon, the last one stands for the rest.

        Raises
        ------
        RequestError
            See `Stepper.step`; the state has not moved.
        """
        return self._stepper.step(self._row(series_id), y, ts_ms, X)

    def forecast(
        self,
        series_id: str | int,
        history: Sequence[float] | F64 | None = None,
        X: Given | None = None,
        ts_ms: int | None = None,
    ) -> Forecast:
        """Forecast the next `horizon` points.

        Parameters
        ----------
        history
            Last values, oldest first; NaN is filled by forecasts of one step, up to as many in a row as the
            model has lags. None: from where `step` has left the series.
        X
            Regressors by name, oldest first; the last `horizon` values are those of the points to forecast,
            the ones before end at the last value of `history`.
        ts_ms
            Time of the last value of `history`; needed where the model knows trend, season or calendar.

        Raises
        ------
        RequestError
            The series is not in the bundle, the history is too short, a regressor is missing.
        """
        row = self._row(series_id)
        if history is None:
            return self._stepper.forecast(row, X)
        place, values = self._place(row), _history(history)
        width, H, past = self.schema.width[row], self.schema.horizon, self.schema.n_past
        if len(values) < width:
            raise HistoryError(
                f"series {series_id!r} needs {width} values of history, got {len(values)}", "history"
            )
        exog = self.schema.exog if "x" in self._closed.inputs else ()
        rows = past + H + (len(values) if np.isnan(values).any() else 0)
        origin = _Origin(place, *self._clock(row, ts_ms, exog), read_window(X, exog, rows, past + H))
        if width:
            values = fill(values, width, lambda lags, i: self._one_step(origin, lags, len(values) - i))
        found = self._run(origin, values[::-1], 0)
        return path(self.schema.series[row], ts_ms, self.schema.levels, found)

    def forecast_many(
        self,
        series_ids: Sequence[str | int],
        history: F64,
        X: F64 | None = None,
        ts_ms: int | None = None,
    ) -> Mapping[str, F64]:
        """Forecast many series in one run of model.onnx.

        Parameters
        ----------
        history
            (B, n) last values, oldest first, n >= `schema.n_lags`, no NaN.
        X
            (B, n_past + H, K) regressors in the order of the schema, calendar terms included.
        ts_ms
            Time of the last values, where the model knows trend or season.

        Returns
        -------
        mean, variance (B, H), and lo, hi (B, levels, H) where the bundle has levels.
        """
        rows = [self._row(name) for name in series_ids]
        lags = np.asarray(history, dtype=np.float64)
        if lags.ndim != 2 or lags.shape[0] != len(rows) or lags.shape[1] < self.schema.n_lags:
            raise HistoryError(
                f"history has shape {lags.shape}, needs ({len(rows)}, {self.schema.n_lags} or more)"
            )
        feeds: dict[str, NDArray[Any]] = {"index": np.array([self._place(row) for row in rows])}
        feeds["lags"] = lags[:, ::-1][:, : self.schema.n_lags]
        if "t" in self._closed.inputs:
            feeds["t"] = np.array([self._clock(row, ts_ms, ())[0] for row in rows])
        if X is not None:
            feeds["x"] = X
        found = self._closed.run(feeds)
        if not np.isfinite(found["mean"]).all():
            first = int(np.flatnonzero(~np.isfinite(found["mean"]).all(axis=1))[0])
            raise RequestError(f"the forecast of series {series_ids[first]!r} is not finite", "not_finite")
        return found

    def _row(self, series_id: str | int) -> int:
        row = self.schema.rows.get(str(series_id))
        if row is None:
            shown = ", ".join(map(str, self.series[:3]))
            raise UnknownSeriesError(
                f"series {series_id!r:.80} is not in the bundle; it has {len(self.series)}: {shown}, ..."
            )
        return row

    def _place(self, row: int) -> int:
        if self.schema.closed[row] < 0 or not self._verified.has("model.onnx"):
            raise HistoryError(
                f"series {self.series[row]!r} has no forecast from a history (a model with moving average): "
                "use `step`, and `forecast` without history"
            )
        return self.schema.closed[row]

    def _clock(self, row: int, ts_ms: int | None, exog: Sequence[Any]) -> tuple[int, int]:
        """Return t of the origin, and its time; both 0 where nothing needs them."""
        if "t" not in self._closed.inputs and not any(column.computed for column in exog):
            return 0, 0
        if ts_ms is None:
            raise HistoryError(
                f"series {self.series[row]!r} follows trend, season or calendar: pass ts_ms, the time of the "
                "last value of its history"
            )
        t, last = self._initial.clock(row)
        ahead = Grid(self.schema.freq).position(ts_ms, last)
        return t + ahead, Grid(self.schema.freq).time(last, ahead)

    def _one_step(self, origin: _Origin, lags: F64, back: int) -> float:
        """Return the forecast of the point that is `back` points before the first one ahead."""
        found = self._run(origin, lags, back)
        return float(found["mean"][0, 0])

    def _run(self, origin: _Origin, newest_first: F64, back: int) -> Mapping[str, NDArray[Any]]:
        """Run model.onnx as of `back` points before the origin."""
        n, past, H = self.schema.n_lags, self.schema.n_past, self.schema.horizon
        lags = np.full(n, newest_first[min(len(newest_first), n) - 1] if len(newest_first) else 1.0)
        lags[: min(len(newest_first), n)] = newest_first[:n]
        feeds = {"index": np.array([origin.place]), "lags": lags[None], "t": np.array([origin.t - back])}
        if "x" in self._closed.inputs:
            feeds["x"] = origin.window(past, H, back, self.schema)[None]
        return self._closed.run(feeds)

    @cached_property
    def _closed(self) -> Model:
        return Model(self._verified.read("model.onnx"), "model.onnx", self.manifest.profile)

    @cached_property
    def _stepper(self) -> Stepper:
        if not self._verified.has("step.onnx"):
            raise HistoryError("the bundle has no step.onnx: pass a history to `forecast`")
        model = Model(self._verified.read("step.onnx"), "step.onnx", self.manifest.profile)
        return Stepper(model, self.schema, self._initial, self._states, self._gap_cap)


class _Origin:
    """From where model.onnx forecasts: a position, t and time of the origin, and the rows of x about it."""

    def __init__(self, place: int, t: int, ts_ms: int, x: F64) -> None:
        self.place, self.t, self.ts_ms, self._x = place, t, ts_ms, x

    def window(self, past: int, H: int, back: int, schema: Schema) -> F64:
        """Return (past + H, K) rows as of `back` points before the origin; those behind the end repeat."""
        last = len(self._x) - 1
        first = len(self._x) - H - back - past
        rows = np.clip(np.arange(first, first + past + H), 0, last)
        x = self._x[rows]
        needed = x[: past + 1] if back else x
        unknown = np.isnan(needed).any(axis=0)
        for j in np.flatnonzero(unknown).tolist():
            if not schema.exog[j].computed:
                raise HistoryError(
                    f"to fill what is missing, regressor {schema.exog[j].name!r} needs a value for "
                    "every point of the history"
                )
        fill_calendar(x, schema.exog, Grid(schema.freq), self.ts_ms, 1 - back - past)
        return np.nan_to_num(x)


def _trusted(
    public_key: bytes | str | None, keys: TrustedKeys | str | os.PathLike[str] | None
) -> TrustedKeys:
    if (public_key is None) == (keys is None):
        raise BundleError("pass either public_key (32 bytes or 64 hex digits) or keys (a keys.json)")
    if public_key is not None:
        return one_key(public_key)
    if isinstance(keys, TrustedKeys):
        return keys
    return load_keys(str(keys))


def load_keys(path: str | os.PathLike[str]) -> TrustedKeys:
    """Read a keys.json; `BundleError` where it is missing or wrong."""
    try:
        with open(path, "rb") as file:
            return read_keys(file.read(1 << 17))
    except OSError as error:
        raise BundleError(f"the trusted keys {path} cannot be read: {error.strerror or error}") from None


def _history(history: object) -> F64:
    try:
        values = np.asarray(history, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise HistoryError("history must be numbers, oldest first; NaN where one is missing") from None
    if values.ndim != 1 or np.isinf(values).any():
        raise HistoryError(f"history must be finite numbers (n,) or NaN, got shape {values.shape}")
    return values
