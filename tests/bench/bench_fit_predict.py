"""A frame of many series in, a frame of forecasts out: ``python -m tests.bench.bench_fit_predict``.

`ROUNDS` fresh processes on one core, each with a warm kernel cache. What is timed is
``fc.fit(df, model=fc.AR(lags="aic", max_lags=24, method="burg"), freq="MS").predict(h=18, level=[95])``; the
phases are those calls of the library, each on the result of the one before, timed one by one afterwards.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import numpy as np

from tests.bench.measure import Peak, arguments, conclude, one_core, seconds, show
from tests.bench.panels import ar_paths, long_frame

T, H, LEVEL, MAX_LAGS, ROUNDS = 120, 18, 95, 24, 3
FLOOR_S, FLOOR_GROWTH = 5.0, 3.0
PACKAGES = ("numpy", "numba", "pandas", "pyarrow", "scipy")


def once(n):
    """What one fresh process measures."""
    import forecast as fc

    model = fc.AR(lags="aic", max_lags=MAX_LAGS, method="burg")

    def run(df):
        return fc.fit(df, model=model, freq="MS").predict(h=H, level=[LEVEL])

    run(long_frame(3, T, y=ar_paths(3, T)))  # load the kernels outside the clock
    df = long_frame(n, T, y=ar_paths(n, T))
    size = int(df.memory_usage(deep=True).sum())
    with Peak() as peak:
        took, ahead = seconds(run, df)
    assert len(ahead) == n * H  # a benchmark of nothing would be fast
    del ahead
    found = {"seconds": took, "frame_mb": size / 1e6, "growth": peak.top / size}
    return found | {"phases": phases(df, model)}


def phases(df, model):
    """Seconds of the parts."""
    from forecast.api.prediction import interval_columns, last_times
    from forecast.models.ar_records import whiteness
    from forecast.models.certificate import certify
    from forecast.models.filtering import end_state
    from forecast.models.forecasting import forecast
    from forecast.models.frames import to_panel
    from forecast.models.output import to_frame

    took = {}
    took["frame to panel"], (panel, schema) = seconds(to_panel, df, "MS")
    took["fit"], r = seconds(model.fit, panel)
    took["  certificate"], _ = seconds(certify, r.phi, r.p, r.seasonal_phi, r.P, r.season_length)
    took["  end state"], _ = seconds(end_state, r, panel)
    lags = r.p.astype(np.int64)
    took["  residual check"], _ = seconds(whiteness, r, panel, lags)
    took["forecast"], ahead = seconds(forecast, r, H, (LEVEL,))
    columns = interval_columns(model.alias, ahead)
    took["forecasts to frame"], _ = seconds(to_frame, r.ids, last_times(r), r.freq, H, columns, schema)
    return took


def fresh(n):
    """`once` in a process of its own, whose peak of memory is then its own too."""
    call = [sys.executable, "-m", "tests.bench.bench_fit_predict", "--once", "1", "--series", str(n)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)  # ourselves
    return json.loads(done.stdout)


def report(runs):
    def middle(pick):
        return statistics.median(map(pick, runs))

    took, growth = middle(lambda run: run["seconds"]), middle(lambda run: run["growth"])
    lines = [
        {"what": "fit + predict, s", "value": took, "floor": FLOOR_S, "passed": took <= FLOOR_S},
        {
            "what": "peak resident growth / frame",
            "value": growth,
            "floor": FLOOR_GROWTH,
            "passed": growth <= FLOOR_GROWTH,
        },
    ]
    phase = {name: middle(lambda run, name=name: run["phases"][name]) for name in runs[0]["phases"]}
    return lines + [{"what": f"{name}, s", "value": value} for name, value in phase.items()]


def main():
    one_core()
    args = arguments(__doc__, series=100_000, once=0)
    if args.once:
        sys.stdout.write(json.dumps(once(args.series)))
        return 0
    runs = [fresh(args.series) for _ in range(ROUNDS)]
    lines = report(runs)
    title = f"{args.series} series x {T} points, frame of {runs[0]['frame_mb']:.0f} MB, one core, "
    columns = [("what", "", ""), ("value", "median", ".2f"), ("floor", "at most", ".1f")]
    show(lines, columns, title + f"medians of {ROUNDS} processes")
    return conclude(
        "fit_predict", args, lines, PACKAGES,
        n_series=args.series, n_obs=T, h=H, max_lags=MAX_LAGS, rounds=ROUNDS, runs=runs,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
