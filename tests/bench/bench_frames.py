"""Time and resident growth of frame -> panel and forecasts -> frame.

Run: ``python -m tests.bench.bench_frames [n_series] [n_points]``; prints medians of five runs
and one JSON line.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time

import numpy as np
import pandas as pd
import psutil

from forecast.models.frames import to_panel
from forecast.models.output import to_frame


def long_frame(n: int, t: int, dtype: str) -> pd.DataFrame:
    """`n` monthly series of `t` points; ids "series_0000012"."""
    names = pd.Series([f"series_{i:07d}" for i in range(n)], dtype=dtype)
    ids = names.iloc[np.repeat(np.arange(n), t)].reset_index(drop=True)
    months = pd.date_range("2010-01-01", periods=t, freq="MS").to_numpy()
    y = np.random.default_rng(0).normal(size=n * t)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(months, n), "y": y})


class Peak:
    """The most resident memory above that of the beginning, sampled every two milliseconds."""

    def __enter__(self) -> Peak:
        self.process, self.running, self.top = psutil.Process(), True, 0
        self.base = self.process.memory_info().rss
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        while self.running:
            self.top = max(self.top, self.process.memory_info().rss - self.base)
            time.sleep(0.002)

    def __exit__(self, *_: object) -> None:
        self.running = False
        self.thread.join()


def seconds(call, repeat: int = 5) -> float:
    def once() -> float:
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    return statistics.median(once() for _ in range(repeat))


def main(n: int = 100_000, t: int = 120, h: int = 18) -> dict[str, float]:
    to_panel(long_frame(3, t, "str"), "MS")  # compile outside the clock
    result: dict[str, float] = {"n_series": n, "n_points": t, "h": h}
    for dtype in ("str", "object"):
        df = long_frame(n, t, dtype)
        size = int(df.memory_usage(deep=True).sum())
        with Peak() as peak:
            panel, schema = to_panel(df, "MS")
        columns = {name: np.zeros((n, h)) for name in ("AR", "AR-lo-95", "AR-hi-95")}
        end = panel.end()
        with Peak() as out_peak:
            to_frame(panel.ids, end, panel.freq, h, columns, schema)
        result |= {
            f"{dtype}_frame_mb": size / 1e6,
            f"{dtype}_to_panel_s": seconds(lambda df=df: to_panel(df, "MS")),
            f"{dtype}_to_panel_growth": peak.top / size,
            f"{dtype}_to_frame_s": seconds(
                lambda p=panel, e=end, c=columns, s=schema: to_frame(p.ids, e, p.freq, h, c, s)
            ),
            f"{dtype}_to_frame_growth": out_peak.top / size,
        }
        del panel, columns
    shuffled = long_frame(n, t, "str").sample(frac=1.0, random_state=0, ignore_index=True)
    result["shuffled_to_panel_s"] = seconds(lambda: to_panel(shuffled, "MS"), repeat=1)
    return result


if __name__ == "__main__":
    found = main(*map(int, sys.argv[1:]))
    for key, value in found.items():
        print(f"{key:28s} {value:10.3f}")  # a script for people
    print(json.dumps(found))  # and for programs
