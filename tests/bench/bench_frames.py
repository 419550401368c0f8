"""Time and resident growth of frame to panel and back: ``python -m tests.bench.bench_frames``."""

from __future__ import annotations

import sys

import numpy as np

from forecast.models.frames import to_panel
from forecast.models.output import to_frame
from tests.bench.measure import Peak, arguments, conclude, median_seconds, one_core, show
from tests.bench.panels import long_frame

T, H, ROUNDS = 120, 18, 5
GROWTH_LIMIT = 3.0
PACKAGES = ("numpy", "numba", "pandas", "pyarrow")


def measure(n, dtype):
    """Both ways for ids of one dtype."""
    df = long_frame(n, T, dtype)
    size = int(df.memory_usage(deep=True).sum())
    with Peak() as peak:
        panel, schema = to_panel(df, "MS")
    columns = {name: np.zeros((n, H)) for name in ("AR", "AR-lo-95", "AR-hi-95")}
    end = panel.end()

    def out():
        return to_frame(panel.ids, end, panel.freq, H, columns, schema)

    with Peak() as out_peak:
        out()
    return [
        line(
            f"{dtype} ids, frame to panel",
            median_seconds(lambda: to_panel(df, "MS"), ROUNDS),
            peak.top / size,
        ),
        line(f"{dtype} ids, forecasts to frame", median_seconds(out, ROUNDS), out_peak.top / size),
    ]


def line(what, took, growth):
    passed = growth <= GROWTH_LIMIT
    return {"what": what, "seconds": took, "growth": growth, "limit": GROWTH_LIMIT, "passed": passed}


def main():
    one_core()
    args = arguments(__doc__, series=100_000)
    to_panel(long_frame(3, T), "MS")  # compile outside the clock
    to_panel(long_frame(3, T).sample(frac=1.0, random_state=0, ignore_index=True), "MS")
    lines = [row for dtype in ("str", "object") for row in measure(args.series, dtype)]
    shuffled = long_frame(args.series, T).sample(frac=1.0, random_state=0, ignore_index=True)
    took = median_seconds(lambda: to_panel(shuffled, "MS"), 1)
    lines.append({"what": "str ids in random order, frame to panel", "seconds": took})
    columns = [
        ("what", "", ""), ("seconds", "seconds", ".2f"), ("growth", "growth / frame", ".2f"),
        ("limit", "at most", ".0f"),
    ]  # fmt: skip
    show(lines, columns, f"{args.series} series x {T} points, h = {H}, one core, medians of {ROUNDS}")
    return conclude("frames", args, lines, PACKAGES, n_series=args.series, n_obs=T, h=H, rounds=ROUNDS)


if __name__ == "__main__":
    sys.exit(main())
