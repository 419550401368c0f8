"""One self-contained C99 header from a fleet: no allocation, no library but exp and log under a logarithm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.c99 import code
from edge.c99.equations import Equations, equations
from edge.c99.fixedpoint import FixedPoint, fixed_point
from edge.c99.literals import comment, identifier
from edge.c99.tables import fixed_tables, float_is_enough, macros, start_tables, tables
from edge.fleet import Fleet
from forecast.errors import InputError
from forecast.types import F64, I64

# Series named at the top of a header; the caller's schema names all of them.
_NAMED = 1000
# Steps ahead; a forecast keeps them on the stack, 8 bytes each, four times.
_LONGEST = 1000

_TOP = """\
/*
 * Forecasts of ${what}, $horizon steps ahead. C99, self-contained.
 *
$ids *
 * y is a value of the series, w = y / scale (or its logarithm) what the equation speaks of. ${N}_LAGS values
 * of y, newest first, give means in units of y and variances of the forecast error in units of w squared:
 * an interval is to_y(w +- 1.96 sqrt(variance)), without a logarithm mean +- 1.96 sqrt(variance) * scale.
 * ${n}_real is float; define ${N}_DOUBLE before the include for double.
 *
 * The tolerances bound the rounding error of a mean for values within ${n}_limit, as a share of that limit
 * (under a logarithm: of the mean itself). Do not compile with -ffast-math: it removes the checks for NaN.
$forms */
"""


def emit(
    fleet: Fleet,
    rows: int | Sequence[int],
    horizon: int,
    name: str = "model",
    *,
    phi: F64 | None = None,
    seasonal_phi: F64 | None = None,
) -> str:
    """Return the header of one series, or of several that are then told apart by a first argument `series`.

    Parameters
    ----------
    rows
        Position of the series in `fleet`, or positions; ``series`` counts them from 0.
    horizon
        Steps ahead, >= 1.
    name
        A C identifier: functions are ``name_forecast``, ``name_forecast_q`` (fixed point), ``name_init`` and
        ``name_step``; macros the same in capitals.
    phi, seasonal_phi
        (fleet.n, width) coefficients in place of the fleet's, as decoded from a quantised model.

    Returns
    -------
    Text of the header. ``name_forecast`` is there when no series has a moving average, ``name_forecast_q``
    when also none has a logarithm or supplied regressors; ``name_step`` always. The header says what its
    numbers mean.

    Raises
    ------
    InputError
        A name that is no identifier, a row outside of the fleet, a season that no table can hold.
    """
    name, eq = identifier(name), read(fleet, rows, horizon, phi, seasonal_phi)
    made = fixed_point(eq)
    up = name.upper()
    parts = [
        _top(eq, name, made),
        f"#ifndef {up}_H\n#define {up}_H\n",
        "#include <stddef.h>\n#include <stdint.h>\n" + _math(eq),
        macros(eq, up, made) + "\n",
        code.fill(code.TYPES, name),
        _range_check(eq, up),
        code.fill(code.LOGARITHMS, name) if eq.fleet.log.any() else "",
        tables(eq, name),
        code.common(eq, name),
        code.forecast(eq, name) if stateless(eq) else "",
        start_tables(eq, name),
        code.step(eq, name),
    ]
    if not isinstance(made, str):
        parts += [fixed_tables(made, eq, name), code.fixed(eq, made, name)]
    return "\n".join([part for part in parts if part]) + f"\n#endif /* {up}_H */\n"


def stateless(eq: Equations) -> bool:
    """Whether the last values alone give the forecasts of every series."""
    return not eq.n_shocks


def read(
    fleet: Fleet,
    rows: int | Sequence[int],
    horizon: int,
    phi: F64 | None = None,
    seasonal_phi: F64 | None = None,
) -> Equations:
    """Check the arguments of `emit` and multiply the equations out."""
    positions: I64 = np.atleast_1d(np.asarray(rows))
    whole = positions.ndim == 1 and positions.size and np.issubdtype(positions.dtype, np.integer)
    if not whole or positions.min() < 0 or positions.max() >= fleet.n:
        raise InputError(f"rows must be positions in 0..{fleet.n - 1}, got {rows!r}")
    return equations(fleet, positions.astype(np.int64), _steps(horizon), phi, seasonal_phi)


def _steps(horizon: object) -> int:
    whole = isinstance(horizon, (int, np.integer)) and not isinstance(horizon, bool)
    if not whole or not 1 <= int(str(horizon)) <= _LONGEST:
        raise InputError(f"horizon must be a whole number in 1..{_LONGEST}, got {horizon!r}")
    return int(str(horizon))


def _top(eq: Equations, name: str, made: FixedPoint | str) -> str:
    named = [f" * {i}: {comment(key)}\n" for i, key in enumerate(eq.fleet.ids[:_NAMED])]
    more = eq.n - len(named)
    if more > 0:
        named.append(f" * and {more} more\n")
    forms = []
    if not stateless(eq):
        forms.append(" * No forecast from lags alone: a moving average needs its state. Use init and step.\n")
    if isinstance(made, str):
        forms.append(f" * No fixed point: {made}.\n")
    what = "one series" if eq.n == 1 else f"{eq.n} series"
    return code.fill(_TOP, name, what=what, horizon=str(eq.horizon), ids="".join(named), forms="".join(forms))


def _math(eq: Equations) -> str:
    absent = np.isnan(eq.variance).any() or (eq.reach and np.isnan(eq.fleet.exog_tail).any())
    return "#include <math.h>\n" if absent or eq.fleet.log.any() else ""


def _range_check(eq: Equations, up: str) -> str:
    if float_is_enough(eq):
        return ""
    why = f"too large, too small or too coarse for float: define {up}_DOUBLE"
    return f'#ifndef {up}_DOUBLE\n#error "{why}"\n#endif\n'
