"""schema.json: what the models of a bundle take and give; also the members of states.npz and parity.npz."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from . import strict_json as js
from .errors import BundleError
from .manifest import current_version, levels, parse_object

KIND: Final = "forecast.edge-schema"

# 100,000 series of 256 characters.
MAX_SCHEMA_BYTES: Final = 32 << 20
MAX_SERIES: Final = 1_000_000
# As many as a tick may carry.
MAX_EXOG: Final = 256
# Longest lag: a year of quarter hours.
MAX_LAGS: Final = 40_000

_CALENDAR = re.compile(r"calendar\((hour|dayofweek|month),([0-9]{1,2})\)")


@dataclass(frozen=True, slots=True)
class FreqInfo:
    """The grid of times.

    =======  ===================================================================================
    text     pandas alias, or the digits of an int step
    tz       zone by name, or null
    kind     "int": ts_ms are the plain ints themselves; "fixed": equal steps; "months": steps of
             months; "ticks": a grid that a device cannot compute (business days, under 1 ms): every
             tick is the next point, gaps are not seen
    step     int: units (int), ms (fixed), months (months), 1 (ticks)
    late     0, or 1 where the points are the last days of months
    wall     true where the grid counts wall-clock time of `tz` (a day or longer)
    dt_ms    int >= 1, the nominal step of the forecast messages
    =======  ===================================================================================
    """

    text: str
    tz: str | None
    kind: str
    step: int
    late: int
    wall: bool
    dt_ms: int


@dataclass(frozen=True, slots=True)
class ExogInfo:
    """One column of x; a `computed` one is filled in by the device: `calendar(hour,3)`."""

    name: str
    unit: str
    computed: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """schema.json has exactly these keys, and `kind` ("forecast.edge-schema") and `schema_version` (1).

    ============  ===================================================================================
    series        [text or int, ...] distinct ids in the order of step.onnx and states.npz
    closed        [int, ...] position of each in model.onnx, -1 where it is not there
    width         [int, ...] lags of y that model.onnx needs of each series, in the order of `series` (0
                  where it is not there); the other lags are padding
    freq          see `FreqInfo`
    exog          [{name, unit, computed}, ...] columns of x, in order (K of them)
    unit          text, unit of y; may be empty
    horizon       int H
    levels        [percent, ...]
    n_lags        int, columns of `lags` of model.onnx (0 without that file)
    n_past        int, rows of x of model.onnx before the first future one: they end at the origin
    n_step_past   int, rows of x of step.onnx before the row of the tick
    needs_t       true where model.onnx has the input `t`
    L, q          int, the state of step.onnx is L levels and q innovations, M = L + q (0, 0 without it)
    ============  ===================================================================================

    Inputs that a file does not need are left out of it (`index` of a single series, `t`, `x`); the device
    looks at the names that are there.

    step.onnx takes y = NaN for a missing value, and y = +inf for "no tick": the state comes out as it went
    in, and the forecasts are from where it stands. Then `t` is the number of points seen less one, the row
    of the tick in x is that of the last tick seen, and the rows before it end one earlier.

    states.npz, always there; float64 and int64:

    ===========  ====================================================================================
    t            (n,) points seen
    last_ts_ms   (n,) time of the last point, ms UTC (the int itself on an int grid)
    state        (n, M) at the end of the data, in the order of `series`; where step.onnx is, as all below
    cov_rows     (k,) ascending series whose state is not exactly known; left out when k = 0
    cov          (k, M, M) their covariance; left out when k = 0
    exog_tail    (n, K, n_step_past) newest first, the last values of x's columns (zero where a column
                 enters without a lag, or is computed); left out when empty
    ===========  ====================================================================================

    parity.npz, inputs and float64 references of the library. Names are those of the graphs, with a prefix:

    - ``closed.*``: inputs and outputs of one call of model.onnx (B rows), and ``closed.rtol`` ().
    - ``step.*``: T calls of step.onnx that follow each other. ``step.index`` (B,), ``step.state`` (B, M),
      ``step.cov`` (B, M, M) and ``step.t`` (B,) are of the first call, ``step.y`` (T, B) and ``step.x``
      (T, B, rows, K) of every one; ``step.mean``, ``variance`` (T, B, H), ``lo``, ``hi`` (T, B, levels, H),
      ``imputed``, ``z`` (T, B), and ``step.state_out`` (B, M), ``cov_out`` (B, M, M) after the last;
      ``step.rtol`` ().

    An error is the largest difference in a row of the last axis over the largest reference of that row; NaN
    equals NaN. A reference that is left out is not compared; mean and variance are required.
    """

    series: tuple[str | int, ...]
    closed: tuple[int, ...]
    width: tuple[int, ...]
    freq: FreqInfo
    exog: tuple[ExogInfo, ...]
    unit: str
    horizon: int
    levels: tuple[float, ...]
    n_lags: int
    n_past: int
    n_step_past: int
    needs_t: bool
    L: int
    q: int
    rows: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Position of each series by the text of its id."""

    @property
    def M(self) -> int:
        """Length of the state."""
        return self.L + self.q


def read_schema(data: bytes) -> Schema:
    """Parse and check schema.json; `BundleError` names the key."""
    fields = js.Fields(parse_object(data, MAX_SCHEMA_BYTES, "schema.json"), "schema.json")
    fields.take("kind", js.one_of(KIND))
    fields.take("schema_version", current_version)
    schema = Schema(
        series=fields.take("series", js.many(_series_id, MAX_SERIES)),
        closed=fields.take("closed", js.many(js.whole(-1, MAX_SERIES), MAX_SERIES)),
        width=fields.take("width", js.many(js.whole(0, MAX_LAGS), MAX_SERIES)),
        freq=fields.take("freq", _freq),
        exog=fields.take("exog", js.many(_exog, MAX_EXOG)),
        unit=fields.take("unit", js.any_text),
        horizon=fields.take("horizon", js.whole(1, 10_000)),
        levels=fields.take("levels", levels),
        n_lags=fields.take("n_lags", js.whole(0, MAX_LAGS)),
        n_past=fields.take("n_past", js.whole(0, MAX_LAGS)),
        n_step_past=fields.take("n_step_past", js.whole(0, MAX_LAGS)),
        needs_t=fields.take("needs_t", js.flag),
        L=fields.take("L", js.whole(0, MAX_LAGS)),
        q=fields.take("q", js.whole(0, MAX_LAGS)),
    )
    fields.end()
    _check(schema)
    schema.rows.update((str(name), row) for row, name in enumerate(schema.series))
    if len(schema.rows) < len(schema.series):
        raise BundleError("schema.json names a series twice")
    return schema


def _check(schema: Schema) -> None:
    n = len(schema.series)
    if n == 0 or len(schema.closed) != n or len(schema.width) != n:
        raise BundleError(
            f"schema.json has {n} series, {len(schema.closed)} in 'closed' and {len(schema.width)} in 'width'"
        )
    places = [place for place in schema.closed if place >= 0]
    if len(set(places)) < len(places):
        raise BundleError("schema.json gives two series one position in model.onnx")
    if places and max(places) >= len(places):
        raise BundleError(f"schema.json: 'closed' has position {max(places)} of {len(places)} in model.onnx")
    if max(schema.width) > schema.n_lags:
        raise BundleError(f"schema.json: 'width' {max(schema.width)} is over 'n_lags' {schema.n_lags}")
    if len({column.name for column in schema.exog}) < len(schema.exog):
        raise BundleError("schema.json names a regressor twice")


def _series_id(value: object) -> str | int:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    return js.text(value)


def _freq(value: object) -> FreqInfo:
    fields = js.Fields(value, "freq")
    found = FreqInfo(
        text=fields.take("text", js.text),
        tz=fields.take("tz", js.optional(js.text)),
        kind=fields.take("kind", js.one_of("int", "fixed", "months", "ticks")),
        step=fields.take("step", js.whole(1, 2**53)),
        late=fields.take("late", js.whole(0, 1)),
        wall=fields.take("wall", js.flag),
        dt_ms=fields.take("dt_ms", js.whole(1, 2**53)),
    )
    fields.end()
    return found


def _exog(value: object) -> ExogInfo:
    fields = js.Fields(value, "exog")
    found = ExogInfo(
        name=fields.take("name", js.text),
        unit=fields.take("unit", js.any_text),
        computed=fields.take("computed", js.flag),
    )
    fields.end()
    if found.computed and _CALENDAR.fullmatch(found.name) is None:
        raise ValueError(f"computes {found.name!r}, which this device runtime does not know; upgrade it")
    return found
