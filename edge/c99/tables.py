"""The constants of a header: sizes as macros, numbers as static arrays."""

from __future__ import annotations

import numpy as np

from edge.c99.bounds import limits, rounding, share
from edge.c99.equations import Equations
from edge.c99.fixedpoint import FixedPoint
from edge.c99.literals import array, comment
from edge.fleet import lag_of
from forecast.models.assemble import lagged_names
from forecast.types import F64

# Relative precision of one operation.
_FLOAT, _DOUBLE = 2.0**-24, 2.0**-53
_FLOAT_RANGE = (1e-30, 1e30)
# Above this bound (which is wide: what happens is a tenth of it, or less) a float forecast says too little.
_WORST_FLOAT = 1e-2


def macros(eq: Equations, up: str, made: FixedPoint | str) -> str:
    """Sizes, and the errors that are promised."""
    limit = limits(eq)
    sizes = {
        "SERIES": (eq.n, "series in this file"),
        "HORIZON": (eq.horizon, "steps ahead"),
        "LAGS": (eq.n_lags, "values of y that a forecast reads, newest first"),
        "SHOCKS": (eq.n_shocks, "past innovations that a step remembers"),
        "REGRESSORS": (eq.n_regressors, "columns of x: " + (", ".join(eq.fleet.names) or "none")),
        "PAST": (eq.n_past, "rows of x up to the origin that a forecast reads before the future ones"),
        "REACH": (eq.reach, "rows of x that a step remembers"),
        "SEASON": (eq.season.shape[1], "columns of the table of what repeats"),
    }
    lines = [_define(up, name, str(value), why) for name, (value, why) in sizes.items()]
    for name, unit in (("FLOAT", _FLOAT), ("DOUBLE", _DOUBLE)):
        bound = share(eq, rounding(eq, limit, unit), limit, unit)
        lines.append(_define(up, f"TOLERANCE_{name}", f"{bound:.3e}", "error of a mean in this precision"))
    if not isinstance(made, str):
        lines.append(_define(up, "TOLERANCE_Q", f"{made.tolerance:.3e}", "error of a mean in fixed point"))
    return "\n".join(lines)


def _define(up: str, name: str, value: str, why: str) -> str:
    return f"#define {up}_{name} {value} /* {comment(why)} */"


def tables(eq: Equations, name: str) -> str:
    """Arrays of the floating-point form; those that would hold nothing are left out."""
    fleet, T = eq.fleet, f"{name}_real"
    parts = [
        "/* Size of y (under a logarithm: of log(y / scale)) up to which the tolerances hold. */\n"
        + array(f"double {name}_limit", _outer(eq)),
        "/* Recursion coefficients, lag 1 first. */\n" + array(f"{T} {name}_a", eq.a),
        "/* Variance of the forecast error by step. */\n" + array(f"{T} {name}_var", eq.variance),
        "/* 1: w is log(y / scale), else y / scale. */\n" + array(f"unsigned char {name}_log", fleet.log),
        array(f"double {name}_scale", np.where(fleet.log, np.log(fleet.scale), fleet.scale)),
        "/* Mean of w, where it has one; 1 in `moving`: w is taken less of its newest value instead. */\n"
        + array(f"{T} {name}_mean", eq.mean),
        array(f"unsigned char {name}_moving", eq.moving),
    ]
    if eq.n_shocks:
        parts.append("/* Moving average, newest innovation first. */\n" + array(f"{T} {name}_b", eq.b))
    if eq.driven:
        parts += _drive(eq, name)
    return "\n".join(parts)


def _drive(eq: Equations, name: str) -> list[str]:
    fleet = eq.fleet
    parts = [
        "/* Deterministic part of w: constant, slope a step, what repeats, regressors. */\n"
        + array(f"double {name}_const", eq.drive),
        "/* 1: the lags act on w less its deterministic part. */\n"
        + array(f"unsigned char {name}_regression", fleet.regression),
    ]
    if fleet.slope.any():
        parts.append(array(f"double {name}_slope", fleet.slope))
    if eq.season.shape[1]:
        parts.append(array(f"double {name}_season", eq.season))
        parts.append(array(f"int32_t {name}_season_length", eq.season_length))
    if eq.used:
        parts.append(array(f"double {name}_beta", fleet.beta[:, eq.used]))
    return parts


def fixed_tables(made: FixedPoint, eq: Equations, name: str) -> str:
    """Arrays of the fixed-point form."""
    parts = [
        "/* y is data / 2^data_bits; coefficients are times 2^a_bits. */\n"
        + array(f"signed char {name}_data_bits", made.data_bits),
        array(f"unsigned char {name}_q_a_bits", made.coefficient_bits),
        array(f"int32_t {name}_q_a", made.a),
        array(f"int32_t {name}_q_mean", made.mean),
    ]
    if eq.driven:
        parts.append(array(f"int32_t {name}_q_const", made.drive))
        if made.slope.any():
            parts.append(array(f"int64_t {name}_q_slope", made.slope))
            parts.append(array(f"unsigned char {name}_q_slope_bits", made.slope_bits))
        if made.season.shape[1]:
            parts.append(array(f"int32_t {name}_q_season", made.season))
    return "\n".join(parts)


def start_tables(eq: Equations, name: str) -> str:
    """Arrays of the state after the data that the model was fitted on."""
    fleet, T = eq.fleet, f"{name}_real"
    used = np.arange(eq.n_lags) < np.maximum(fleet.width, 1)[:, None]
    levels = np.where(used, _padded(fleet.levels, eq.n_lags), 0.0)
    parts = [
        "/* State after the training data: w (less its deterministic part), innovations, regressors. */\n"
        + array(f"{T} {name}_level0", levels)
    ]
    if eq.n_shocks:
        parts.append(array(f"{T} {name}_shock0", _padded(fleet.innovations, eq.n_shocks)))
    if eq.reach:
        parts.append(array(f"{T} {name}_x0", _tail(eq)))
    if eq.needs_t:
        parts.append(array(f"int64_t {name}_t0", fleet.nobs))
    return "\n".join(parts)


def _padded(matrix: F64, width: int) -> F64:
    out = np.zeros((len(matrix), width))
    out[:, : matrix.shape[1]] = matrix[:, :width]
    return out


def _tail(eq: Equations) -> F64:
    """(n, reach * regressors) rows of x up to now, oldest first."""
    fleet = eq.fleet
    out = np.zeros((eq.n, eq.reach, eq.n_regressors))
    for k, name in enumerate(lagged_names(fleet.terms)):
        if name in fleet.names:
            out[:, :, fleet.names.index(name)] = fleet.exog_tail[:, k, : eq.reach][:, ::-1]
    return out.reshape(eq.n, -1)


def float_is_enough(eq: Equations) -> bool:
    """Whether constants and values lie well inside the range of a float, and its rounding is no trouble."""
    limit = limits(eq)
    if share(eq, rounding(eq, limit, _FLOAT), limit, _FLOAT) > _WORST_FLOAT:
        return False
    low, high = _FLOAT_RANGE
    numbers = np.concatenate([np.abs(x).ravel() for x in (eq.a, eq.b, eq.mean, eq.variance, limits(eq))])
    if not eq.fleet.log.all():
        numbers = np.concatenate([numbers, eq.fleet.scale, limits(eq) * eq.fleet.scale])
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    return bool((numbers < high).all() and limits(eq).min() > low)


def supplied(eq: Equations) -> list[tuple[int, int]]:
    """(column of x, lag) of every supplied term."""
    names = eq.fleet.names
    terms = [eq.fleet.terms[j] for j in eq.used]
    return [(names.index(term.name), lag_of(term)) for term in terms]


def _outer(eq: Equations) -> F64:
    return np.where(eq.fleet.log, limits(eq), limits(eq) * eq.fleet.scale)
