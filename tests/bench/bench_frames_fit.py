"""OLS AR of all orders through ``fc.fit``, against statsmodels: ``python -m tests.bench.bench_frames_fit``.

One core, one BLAS thread. From the long frame with string ids to certified records; the peer gets its
series as arrays, one by one. Ours and theirs take turns within the run, so that both meet the same machine.
"""

from __future__ import annotations

import statistics
import sys

from tests.bench.measure import arguments, conclude, one_core, seconds, show
from tests.bench.panels import ar_paths, long_frame

T, MAX_LAGS, ROUNDS, SAMPLE = 1_000, 24, 5, 20
FLOOR = 500.0
PACKAGES = ("numpy", "numba", "pandas", "statsmodels")


def peer(sample):
    """Orders that statsmodels chooses."""
    from statsmodels.tsa.ar_model import ar_select_order

    return [len(ar_select_order(y, MAX_LAGS, "aic").ar_lags or []) for y in sample]


def measure(n):
    import forecast as fc

    y = ar_paths(n, T)
    df = long_frame(n, T, y=y)
    model = fc.AR(lags="aic", max_lags=MAX_LAGS, method="ols")

    def ours():
        return fc.fit(df, model=model, freq="MS").records[0].p

    fc.fit(long_frame(3, T), model=model, freq="MS")  # compile outside the clock
    peer(y[:1])
    took, theirs = [], []
    for _ in range(ROUNDS):
        duration, p = seconds(ours)
        took.append(duration / n)
        duration, orders = seconds(peer, y[:SAMPLE])
        theirs.append(duration / SAMPLE)
    own, other = statistics.median(took), statistics.median(theirs)
    same = p[:SAMPLE].tolist() == orders
    return {
        "what": "OLS, orders 0..24, AIC, through fc.fit",
        "us_per_series": own * 1e6,
        "peer_us_per_series": other * 1e6,
        "ratio": other / own,
        "floor": FLOOR,
        "orders": "same" if same else "DIFFER",
        "passed": other / own >= FLOOR and same,
    }


def main():
    one_core()
    args = arguments(__doc__, series=10_000)
    lines = [measure(args.series)]
    columns = [
        ("what", "", ""), ("us_per_series", "us/series", ".1f"),
        ("peer_us_per_series", "statsmodels us", ".0f"),
        ("ratio", "ratio", ".0f"), ("floor", "floor", ".0f"), ("orders", "orders", ""),
    ]  # fmt: skip
    show(lines, columns, f"{args.series} series x {T} points, string ids, one core, medians of {ROUNDS}")
    return conclude(
        "frames_fit", args, lines, PACKAGES,
        n_series=args.series, n_obs=T, max_lags=MAX_LAGS, sample=SAMPLE, rounds=ROUNDS,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
