"""A small program around a header: numbers in, forecasts out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge.c99.code import fill
from edge.c99.equations import Equations
from edge.c99.fixedpoint import fixed_point
from edge.c99.header import read, stateless
from edge.c99.literals import identifier
from edge.c99.tables import float_is_enough
from edge.fleet import Fleet
from forecast.errors import InputError

_MAIN: Final = """\
/*
 * Forecasts from numbers on standard input, separated by blanks; one line out for each forecast.
 *
 *     cc -std=c99 -O2 main.c -o main$link
 *
$usage */
#include <stdio.h>
#include <string.h>

$double#include "$header"

static int read_reals(${n}_real *out, int count)
{
    int i;
    for (i = 0; i < count; i++) {
        double value;
        if (scanf("%lf", &value) != 1)
            return i == 0 ? EOF : 1;
        out[i] = (${n}_real)value;
    }
    return 0;
}

static void print(const ${n}_real *mean, const ${n}_real *variance)
{
    int k;
    for (k = 0; k < ${N}_HORIZON; k++)
        printf("%.17g ", (double)mean[k]);
    for (k = 0; k < ${N}_HORIZON; k++)
        printf("%.17g%c", (double)variance[k], k + 1 < ${N}_HORIZON ? ' ' : '\\n');
}

$functions
int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "$first";
$modes    fprintf(stderr, "usage: %s [$names] < numbers\\n", argv[0]);
    return 2;
}
"""

_NEEDS_DOUBLE: Final = "#ifndef ${N}_DOUBLE\n#define ${N}_DOUBLE\n#endif\n"

_FORECAST: Final = """\
static int run_forecast(void)
{
    ${n}_real lags[${N}_LAGS], mean[${N}_HORIZON], variance[${N}_HORIZON];
$locals    for (;;) {
        int end;
$heads        end = read_reals(lags, ${N}_LAGS);
        if (end == EOF)
            return 0;
$tails        if (end || ${n}_forecast($series lags,$x$t mean, variance)) {
            fprintf(stderr, "a number is missing\\n");
            return 1;
        }
        print(mean, variance);
    }
}
"""

_STEP: Final = """\
static int run_step(void)
{
    ${n}_state state[${N}_SERIES];
    ${n}_real y, imputed, mean[${N}_HORIZON], variance[${N}_HORIZON];
    int i;
$locals    for (i = 0; i < ${N}_SERIES; i++)
        ${n}_init($every &state[i]);
    for (;;) {
        int end;
$heads        end = read_reals(&y, 1);
        if (end == EOF)
            return 0;
$tails        if (end || ${n}_step($series &state[$at], y,$x mean, variance, &imputed)) {
            fprintf(stderr, "a number is missing\\n");
            return 1;
        }
        printf("%.17g ", (double)imputed);
        print(mean, variance);
    }
}
"""

_FIXED: Final = """\
static int32_t to_data(double value)
{
    value += value < 0 ? -0.5 : 0.5;
    return value > 2147483647.0 ? INT32_MAX : value < -2147483647.0 ? -INT32_MAX : (int32_t)value;
}

static int run_fixed(void)
{
    ${n}_real lags[${N}_LAGS], mean[${N}_HORIZON], variance[${N}_HORIZON];
    int32_t data[${N}_LAGS], out[${N}_HORIZON];
$locals    for (;;) {
        double unit = 1;
        int i, bits, end;
$heads        end = read_reals(lags, ${N}_LAGS);
        if (end == EOF)
            return 0;
        bits = ${n}_data_bits[$at];
        for (i = 0; i < bits; i++)
            unit *= 2;
        for (i = 0; i > bits; i--)
            unit /= 2;
        for (i = 0; i < ${N}_LAGS; i++)
            data[i] = to_data(lags[i] * unit);
        if (end || ${n}_forecast_q($series data,$t out)) {
            fprintf(stderr, "a number is missing\\n");
            return 1;
        }
        for (i = 0; i < ${N}_HORIZON; i++) {
            mean[i] = (${n}_real)(out[i] / unit);
            variance[i] = ${n}_var[$at][i];
        }
        print(mean, variance);
    }
}
"""

_MODE: Final = """\
    if (strcmp(mode, "$mode") == 0)
        return run_$mode();
"""


def example(
    fleet: Fleet, rows: int | Sequence[int], horizon: int, name: str = "model", header: str = "model.h"
) -> str:
    """Return the text of a main program for ``emit(fleet, rows, horizon, name)``, stored as `header`.

    Raises
    ------
    InputError
        As `emit`, and for a header name that an include line cannot hold.
    """
    if not header or set(header) & set('"\\\n\r'):
        raise InputError(f"header must be a plain file name, got {header!r}")
    name, eq = identifier(name), read(fleet, rows, horizon)
    modes = {"step": _STEP}
    if stateless(eq):
        modes = {"forecast": _FORECAST, **modes}
        if not isinstance(fixed_point(eq), str):
            modes["fixed"] = _FIXED
    parts = _parts(eq)
    return fill(
        _MAIN, name, header=header.replace("$", "$$"), first=next(iter(modes)),
        double="" if float_is_enough(eq) else _NEEDS_DOUBLE, names=" | ".join(modes),
        link=" -lm" if eq.fleet.log.any() else "", usage=_usage(eq, list(modes)),
        functions="\n".join(_function(text, mode, name, parts) for mode, text in modes.items()),
        modes="".join(fill(_MODE, name, mode=mode) for mode in modes),
    )  # fmt: skip


def _function(text: str, mode: str, name: str, parts: dict[str, str]) -> str:
    wanted = dict(parts)
    if mode == "step":
        wanted |= {"tails": parts["tails_step"], "locals": parts["locals_step"], "heads": parts["heads_step"]}
    if mode == "fixed":
        wanted |= {"locals": parts["locals_fixed"]}
    return fill(text, name, **{key: value for key, value in wanted.items() if f"${key}" in text})


def _parts(eq: Equations) -> dict[str, str]:
    many, K, timed = eq.n > 1, eq.n_regressors, eq.needs_t
    series = "    int series;\n" if many else ""
    head = (
        '        if (scanf("%d", &series) != 1)\n            return 0;\n'
        "        if (series < 0 || series >= ${N}_SERIES)\n            return 1;\n"
        if many
        else ""
    )
    t = (
        "        {\n            long value;\n"
        '            if (scanf("%ld", &value) != 1)\n                return 0;\n'
        "            t = value;\n        }\n"
    )
    rows = "        if (!end)\n            end = read_reals(x, (%s + ${N}_HORIZON) * ${N}_REGRESSORS);\n"
    x = "    ${n}_real x[(%s + ${N}_HORIZON) * ${N}_REGRESSORS];\n"
    time = "    int64_t t;\n" if timed else ""
    return {
        "series": "series," if many else "", "at": "series" if many else "0", "every": "i," if many else "",
        "x": " x," if K else "", "t": " t," if timed else "",
        "heads": head + (t if timed else ""), "heads_step": head,
        "tails": rows % "${N}_PAST" if K else "", "tails_step": rows % "1" if K else "",
        "locals": series + (x % "${N}_PAST" if K else "") + time,
        "locals_step": series + (x % "1" if K else ""), "locals_fixed": series + time,
    }  # fmt: skip


def _usage(eq: Equations, modes: list[str]) -> str:
    series = "series, " if eq.n > 1 else ""
    t = "t, " if eq.needs_t else ""
    past = "then ${N}_PAST + ${N}_HORIZON rows of x" if eq.n_regressors else ""
    now = ", then 1 + ${N}_HORIZON rows of x" if eq.n_regressors else ""
    lines = {
        "forecast": f"{series}{t}${{N}}_LAGS values newest first{', ' + past if past else ''}",
        "step": f"{series}the next value (nan when missing){now}",
        "fixed": f"{series}{t}${{N}}_LAGS values newest first",
    }
    out = "".join(f" * {mode}: {lines[mode]}\n" for mode in modes)
    return out + " * Out: means, variances; a step writes the value (or its imputation) before them.\n"
