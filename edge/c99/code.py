"""The functions of a header, as templates: ``$n`` is the name, ``$N`` the same in capitals."""

from __future__ import annotations

from string import Template
from typing import Final

from edge.c99.equations import Equations
from edge.c99.fixedpoint import FAR_BITS, FixedPoint
from edge.c99.tables import supplied

TYPES: Final = """\
#ifdef ${N}_DOUBLE
typedef double ${n}_real;
#else
typedef float ${n}_real;
#endif
"""

LOGARITHMS: Final = """\
#ifdef ${N}_DOUBLE
#define ${N}_LOG_OF(x) log(x)
#define ${N}_EXP_OF(x) exp(x)
#else
#define ${N}_LOG_OF(x) logf(x)
#define ${N}_EXP_OF(x) expf(x)
#endif
"""

_UNITS: Final = """\
/* w of y; 1 when there is none: NaN, infinite, or not positive under a logarithm. */
static inline int ${n}_to_w(int series, ${n}_real y, ${n}_real *w)
{
    if (!(y - y == 0))
        return 1;
$to_w}

static inline ${n}_real ${n}_to_y(int series, ${n}_real w)
{
$to_y    return w * (${n}_real)${n}_scale[series];
}
"""

_TO_W_LOG: Final = """\
    if (${n}_log[series]) {
        if (!(y > 0))
            return 1;
        *w = ${N}_LOG_OF(y) - (${n}_real)${n}_scale[series];
        return 0;
    }
"""

_TO_Y_LOG: Final = """\
    if (${n}_log[series])
        return ${N}_EXP_OF(w + (${n}_real)${n}_scale[series]);
"""

_RUN: Final = """\
/* w (regression form: w less its deterministic part) 1 .. steps ahead; level[0] and shock[0] are newest. */
static inline void ${n}_run(int series, const ${n}_real *level,$shock_arg
                            const ${n}_real *drive, int steps, ${n}_real *out)
{
    const ${n}_real ref = ${n}_moving[series] ? level[0] : ${n}_mean[series];
    ${n}_real path[${N}_LAGS + ${N}_HORIZON];
    int i, k;
    for (i = 0; i < ${N}_LAGS; i++)
        path[${N}_LAGS - 1 - i] = level[i] - ref;
    for (k = 0; k < steps; k++) {
        ${n}_real sum = drive[k];
        for (i = 0; i < ${N}_LAGS; i++)
            sum += ${n}_a[series][i] * path[${N}_LAGS + k - 1 - i];
$shock_loop        path[${N}_LAGS + k] = sum;
        out[k] = sum + ref;
    }
}

/* Forecasts in units of y, from the state; m is the deterministic part of the steps ahead. */
static inline void ${n}_ahead(int series, const ${n}_real *level,$shock_arg
                              const double *m, ${n}_real *mean, ${n}_real *variance)
{
    ${n}_real drive[${N}_HORIZON], out[${N}_HORIZON];
    int k;
    for (k = 0; k < ${N}_HORIZON; k++)
        drive[k] = $drive;
    ${n}_run(series, level,$shock_pass drive, ${N}_HORIZON, out);
    for (k = 0; k < ${N}_HORIZON; k++)
        mean[k] = ${n}_to_y(series, out[k]$plus_m);
    if (variance != NULL)
        for (k = 0; k < ${N}_HORIZON; k++)
            variance[k] = ${n}_var[series][k];
$no_drive}
"""

_FORECAST: Final = """\
/*
 * Forecast from the last values alone.
 * lags      ${N}_LAGS values of y, newest first, none missing; beyond the lags of a shorter series
 *           anything finite (and positive, under a logarithm) will do
$doc * mean      ${N}_HORIZON forecasts out, units of y (under a logarithm: the median)
 * variance  ${N}_HORIZON variances out, units of w squared; NULL when not wanted
 * Returns 0; 1, and writes nothing, when the series does not exist or a number is missing.
 */
static inline int ${n}_forecast(${series_arg}const ${n}_real *lags,$x_arg$t_arg
                                ${n}_real *mean, ${n}_real *variance)
{
$one    ${n}_real level[${N}_LAGS];
    double m[${N}_HORIZON];
    int i;
$check    for (i = 0; i < ${N}_LAGS; i++) {
        if (${n}_to_w(series, lags[i], &level[i]))
            return 1;
$level_less_m    }
    for (i = 0; i < ${N}_HORIZON; i++) {
        m[i] = $m_ahead;
        if (!(m[i] - m[i] == 0))
            return 1;
    }
    ${n}_ahead(series, level,$no_shock m, mean, variance);
    return 0;
}
"""

_LEVEL_LESS_M: Final = """\
        if (${n}_regression[series]) {
            level[i] -= (${n}_real)$m_past;
            if (!(level[i] - level[i] == 0))
                return 1;
        }
"""

_STATE: Final = """\
/* What one series remembers between steps; written and read as it is, on one machine. */
typedef struct {
    ${n}_real level[${N}_LAGS];
$fields} ${n}_state;

/* Begin where the training data end. Returns 1 when the series does not exist. */
static inline int ${n}_init(${series_arg}${n}_state *state)
{
$one    int i;
$check    for (i = 0; i < ${N}_LAGS; i++)
        state->level[i] = ${n}_level0[series][i];
$fills    return 0;
}
"""

_STEP: Final = """\
/*
 * Take one value in and forecast.
 * y         the value at the next time; NaN (or what has no w) when it is missing
$doc * mean      ${N}_HORIZON forecasts out, units of y (under a logarithm: the median)
 * variance  ${N}_HORIZON variances out, units of w squared; NULL when not wanted
 * imputed   y, or its forecast where missing; NULL when not wanted
 * Returns 0; 1, and changes nothing, when the series does not exist or a regressor is missing.
 *
 * The state counts as known: a missing value becomes its one-step forecast with innovation 0. Without gaps,
 * and where the end of the training data left nothing unknown, this is the Kalman filter's own answer. After
 * a gap it is not: the filter would go back and correct what it imputed, and its variances would add that of
 * the state. The difference dies out as the gap leaves the lags (and, with a moving average, as its weights
 * decay).
 */
static inline int ${n}_step(${series_arg}${n}_state *state, ${n}_real y,$x_arg
                            ${n}_real *mean, ${n}_real *variance, ${n}_real *imputed)
{
$one    ${n}_real w = 0, next, drive;
    double m_now, m[${N}_HORIZON];
    int i, missing;
$locals$check$window    m_now = $m_now;
    if (!(m_now - m_now == 0))
        return 1;
    for (i = 0; i < ${N}_HORIZON; i++) {
        m[i] = $m_ahead;
        if (!(m[i] - m[i] == 0))
            return 1;
    }
    drive = $drive_now;
    ${n}_run(series, state->level,$state_shock &drive, 1, &next);
    missing = ${n}_to_w(series, y, &w);
$w_less_m    for (i = ${N}_LAGS - 1; i > 0; i--)
        state->level[i] = state->level[i - 1];
    state->level[0] = missing ? next : w;
$shift    if (imputed != NULL)
        *imputed = missing ? ${n}_to_y(series, next$plus_m_now) : y;
    ${n}_ahead(series, state->level,$state_shock m, mean, variance);
    return 0;
}
"""

_FIXED: Final = """\
static inline int32_t ${n}_q_fit(int64_t v)
{
    return v > INT32_MAX ? INT32_MAX : v < -INT32_MAX ? -INT32_MAX : (int32_t)v;
}

/* v / 2^bits, rounded to the nearest. */
static inline int64_t ${n}_q_shift(int64_t v, int bits)
{
    const int64_t half = bits > 0 ? (int64_t)1 << (bits - 1) : 0;
    return v >= 0 ? (v + half) >> bits : -((half - v) >> bits);
}

$q_m/*
 * The same in fixed point: int32 data, y = data / 2^${n}_data_bits[series], int64 sums. Sums cannot overflow;
 * data that leave the range saturate.$far Variances do not depend on the data: see ${n}_var.
 */
static inline int ${n}_forecast_q(${series_arg}const int32_t *lags,$t_arg int32_t *mean)
{
$one    int32_t path[${N}_LAGS + ${N}_HORIZON];
    int64_t ref;
    int i, k;
$check$t_check    for (i = 0; i < ${N}_LAGS; i++)
        path[${N}_LAGS - 1 - i] = ${n}_q_fit((int64_t)lags[i]$q_less_m);
    ref = ${n}_moving[series] ? path[${N}_LAGS - 1] : ${n}_q_mean[series];
    for (i = 0; i < ${N}_LAGS; i++)
        path[i] = ${n}_q_fit((int64_t)path[i] - ref);
    for (k = 0; k < ${N}_HORIZON; k++) {
        int64_t sum = 0;
        for (i = 0; i < ${N}_LAGS; i++)
            sum += (int64_t)${n}_q_a[series][i] * path[${N}_LAGS + k - 1 - i];
        path[${N}_LAGS + k] = ${n}_q_fit(${n}_q_shift(sum, ${n}_q_a_bits[series])$q_drive);
        mean[k] = ${n}_q_fit((int64_t)path[${N}_LAGS + k] + ref$q_plus_m);
    }
    return 0;
}
"""


_FAR: Final = """
 * Returns 1 where t is farther than 2^24 steps from the training data; the tolerance holds within 2^16."""
_CHECK: Final = """\
    if (series < 0 || series >= ${N}_SERIES)
        return 1;
"""


def fill(template: str, name: str, **parts: str) -> str:
    """Fill a template, and the names inside of what is filled in."""
    names = {"n": name, "N": name.upper()}
    inner = {key: Template(text).substitute(names) for key, text in parts.items()}
    return Template(template).substitute(names, **inner)


def arguments(eq: Equations) -> dict[str, str]:
    """Parts of signatures: what a header does not need is not asked for."""
    return {
        "series_arg": "int series, " if eq.n > 1 else "",
        "one": "" if eq.n > 1 else "    const int series = 0;\n",
        "check": _CHECK if eq.n > 1 else "",
        "x_arg": " const ${n}_real *x," if eq.n_regressors else "",
        "t_arg": " int64_t t," if eq.needs_t else "",
        "shock_arg": " const ${n}_real *shock," if eq.n_shocks else "",
        "shock_pass": " shock," if eq.n_shocks else "",
    }


def deterministic(eq: Equations, name: str) -> str:
    """Return the function of m_t, or nothing where there is no such part."""
    if not eq.driven:
        return ""
    lines = ["    double m = ${n}_const[series];"]
    if eq.fleet.slope.any():
        lines.append("    m += ${n}_slope[series] * (double)t;")
    if eq.season.shape[1]:
        lines += [
            "    at = (t - 1) % ${n}_season_length[series];",
            "    m += ${n}_season[series][at < 0 ? at + ${n}_season_length[series] : at];",
        ]
        lines.insert(1, "    int64_t at;")
    for j, (column, lag) in enumerate(supplied(eq)):
        row = f"x[{column} - {lag} * ${{N}}_REGRESSORS]" if lag else f"x[{column}]"
        lines += [
            f"    if (${{n}}_beta[series][{j}] != 0)",
            f"        m += ${{n}}_beta[series][{j}] * (double){row};",
        ]
    parameters = "int series" + (", int64_t t" if eq.needs_t else "")
    parameters += ", const ${n}_real *x" if eq.n_regressors else ""
    text = "/* Deterministic part of w at time t; x is the row of that time, older rows lie before it. */\n"
    text += f"static inline double ${{n}}_m({parameters})\n{{\n" + "\n".join(lines) + "\n    return m;\n}\n"
    return fill(text, name)


def call_m(eq: Equations, t: str, row: str) -> str:
    """Return the call of that function at time `t`, whose regressors stand in row `row` of x."""
    if not eq.driven:
        return "0.0"
    parameters = "series" + (f", {t}" if eq.needs_t else "")
    parameters += f", x + ({row}) * ${{N}}_REGRESSORS" if eq.n_regressors else ""
    return f"${{n}}_m({parameters})"


def common(eq: Equations, name: str) -> str:
    """Return units, recursion and outputs: what every form of a header has."""
    log = bool(eq.fleet.log.any())
    plain = "    *w = y / (${n}_real)${n}_scale[series];\n    return !(*w - *w == 0);\n"
    shock_loop = (
        "        for (i = k; i < ${N}_SHOCKS; i++)\n            sum += ${n}_b[series][i] * shock[i - k];\n"
    )
    units = fill(_UNITS, name, to_w=(_TO_W_LOG if log else "") + plain, to_y=_TO_Y_LOG if log else "")
    run = fill(
        _RUN, name, **_only(arguments(eq), "shock_arg", "shock_pass"),
        shock_loop=shock_loop if eq.n_shocks else "",
        drive="${n}_regression[series] ? 0 : (${n}_real)m[k]" if eq.driven else "0",
        plus_m=" + (${n}_regression[series] ? (${n}_real)m[k] : 0)" if eq.driven else "",
        no_drive="" if eq.driven else "    (void)m;\n",
    )  # fmt: skip
    return "\n".join(filter(None, [units, deterministic(eq, name), run]))


def forecast(eq: Equations, name: str) -> str:
    """Return the stateless forecast."""
    doc = ""
    if eq.n_regressors:
        doc += " * x         (${N}_PAST + ${N}_HORIZON) rows of ${N}_REGRESSORS, oldest first: those up\n"
        doc += " *           to the origin, then future ones\n"
    if eq.needs_t:
        doc += " * t         grid points of the series up to the origin, missing ones included\n"
    less = fill(_LEVEL_LESS_M, name, m_past=call_m(eq, "t - i", "${N}_PAST - 1 - i"))
    looks_back = eq.driven and bool(eq.fleet.regression.any())
    return fill(
        _FORECAST, name, doc=doc, **_only(arguments(eq), "series_arg", "one", "check", "x_arg", "t_arg"),
        level_less_m=less if looks_back else "", no_shock="",
        m_ahead=call_m(eq, "t + 1 + i", "${N}_PAST + i"),
    )  # fmt: skip


def step(eq: Equations, name: str) -> str:
    """Return state, start and step."""
    K, shocks, reach = eq.n_regressors, eq.n_shocks, eq.reach
    fields, fills, shift, doc, locals_, window = "", "", "", "", "", ""
    if shocks:
        fields += "    ${n}_real shock[${N}_SHOCKS];\n"
        fills += "    for (i = 0; i < ${N}_SHOCKS; i++)\n        state->shock[i] = ${n}_shock0[series][i];\n"
        shift += "    for (i = ${N}_SHOCKS - 1; i > 0; i--)\n        state->shock[i] = state->shock[i - 1];\n"
        shift += "    state->shock[0] = missing ? 0 : w - next;\n"
    if K:
        doc += " * x         (1 + ${N}_HORIZON) rows of ${N}_REGRESSORS: that of this time, then later\n"
    if reach:
        rows = "${N}_REACH * ${N}_REGRESSORS"
        fields += f"    ${{n}}_real x[{rows}]; /* oldest row first */\n"
        fills += f"    for (i = 0; i < {rows}; i++)\n        state->x[i] = ${{n}}_x0[series][i];\n"
        locals_ += "    ${n}_real rows[(${N}_REACH + 1 + ${N}_HORIZON) * ${N}_REGRESSORS];\n"
        window += f"    for (i = 0; i < {rows}; i++)\n        rows[i] = state->x[i];\n"
        window += "    for (i = 0; i < (1 + ${N}_HORIZON) * ${N}_REGRESSORS; i++)\n"
        window += f"        rows[{rows} + i] = x[i];\n"
        window += f"    x = rows + {rows};\n"
        shift += f"    for (i = 0; i < {rows}; i++)\n        state->x[i] = rows[${{N}}_REGRESSORS + i];\n"
    if eq.needs_t:
        fields += "    int64_t t; /* grid points seen */\n"
        fills += "    state->t = ${n}_t0[series];\n"
        shift += "    state->t += 1;\n"
    args = arguments(eq)
    state = fill(_STATE, name, fields=fields, fills=fills, **_only(args, "series_arg", "one", "check"))
    less = "    if (${n}_regression[series])\n        w -= (${n}_real)m_now;\n"
    return state + "\n" + fill(
        _STEP, name, doc=doc, locals=locals_, window=window, shift=shift,
        **_only(args, "series_arg", "one", "check", "x_arg"),
        m_now=call_m(eq, "state->t + 1", "0"), m_ahead=call_m(eq, "state->t + 2 + i", "1 + i"),
        drive_now="${n}_regression[series] ? 0 : (${n}_real)m_now" if eq.driven else "0",
        w_less_m=less if eq.driven else "",
        plus_m_now=" + (${n}_regression[series] ? (${n}_real)m_now : 0)" if eq.driven else "",
        state_shock=" state->shock," if shocks else "",
    )  # fmt: skip


def fixed(eq: Equations, made: FixedPoint, name: str) -> str:
    """Return the stateless forecast in fixed point."""
    q_m, call = "", "${n}_q_m(series, %s)" if eq.needs_t else "${n}_q_const[series]%.0s"
    if eq.needs_t:
        lines = ["    int64_t m = ${n}_q_const[series];"]
        if made.slope.any():
            lines.append(
                "    m += ${n}_q_shift(${n}_q_slope[series] * (t - ${n}_t0[series]),\n"
                "                     ${n}_q_slope_bits[series]);"
            )
        if made.season.shape[1]:
            lines.insert(1, "    int64_t at;")
            lines += [
                "    at = (t - 1) % ${n}_season_length[series];",
                "    m += ${n}_q_season[series][at < 0 ? at + ${n}_season_length[series] : at];",
            ]
        q_m = "static inline int64_t ${n}_q_m(int series, int64_t t)\n{\n" + "\n".join(lines)
        q_m += "\n    return m;\n}\n\n"
    less = " - (${n}_regression[series] ? %s : 0)" % (call % "t - i")
    ahead = call % "t + 1 + k"
    check = f"    if (t < ${{n}}_t0[series] - ((int64_t)1 << {FAR_BITS}) ||\n"
    check += f"        t > ${{n}}_t0[series] + ((int64_t)1 << {FAR_BITS}))\n        return 1;\n"
    return fill(
        _FIXED, name, q_m=q_m, **_only(arguments(eq), "series_arg", "one", "check", "t_arg"),
        far=_FAR if eq.needs_t and made.slope.any() else "",
        t_check=check if eq.needs_t and made.slope.any() else "",
        q_less_m=less if eq.driven else "",
        q_drive=f" + (${{n}}_regression[series] ? 0 : {ahead})" if eq.driven else "",
        q_plus_m=f" + (${{n}}_regression[series] ? {ahead} : 0)" if eq.driven else "",
    )  # fmt: skip


def _only(parts: dict[str, str], *names: str) -> dict[str, str]:
    return {name: parts[name] for name in names}
