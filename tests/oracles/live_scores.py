"""Scores of live forecasts, one message after the other, from the formulas."""

from __future__ import annotations

import math

from tests.oracles import metrics


class Path:
    def __init__(self, forecast):
        self.forecast = forecast
        self.actual = [math.nan] * len(forecast["times"])


class Series:
    """One series: `forecast` and `tick` in the order of the log; closed paths are in `closed`."""

    def __init__(self):
        self.path, self.last, self.closed = None, None, []

    def tick(self, ts, y):
        if self.path is None:
            return
        times = self.path.forecast["times"]
        place = self.place(ts)
        if place is not None and 1 <= place <= len(times) and math.isfinite(y):
            self.path.actual[place - 1] = y
        if place is not None and len(times) <= place <= 2 * len(times):
            self.close()

    def place(self, ts):
        """Nearest point after the origin, of those twice as far as the horizon."""
        forecast = self.path.forecast
        points = [forecast["ts"], *forecast["times"], *forecast["beyond"]]
        best = min(range(len(points)), key=lambda k: (abs(points[k] - ts), k))
        step = abs(points[best] - points[best - 1 if best else 1])
        return best if abs(points[best] - ts) <= step else None

    def forecast(self, forecast):
        """`forecast`: ts, times (h points), beyond (h more), mean, lo, hi (a list a level), who."""
        if self.last is not None:
            end = self.last["times"][-1]
            back = forecast["ts"] <= self.last["ts"] - (end - self.last["ts"])
            if forecast["ts"] < end and not back:
                return
            if self.path is not None and not back:
                self.close()
        self.path, self.last = Path(forecast), forecast

    def close(self):
        path, self.path = self.path, None
        self.closed.append((path.forecast, path.actual))


def score(forecast, actual, levels, scale):
    """One closed path: n, missing, mae, mase, crps, hits a level."""
    quantiles = [*reversed(forecast["lo"]), forecast["mean"], *forecast["hi"]]
    taus = [0.5 - level / 200 for level in reversed(levels)] + [0.5] + [0.5 + level / 200 for level in levels]
    n = sum(not math.isnan(y) for y in actual)
    mae = metrics.mae(actual, forecast["mean"])
    hits = [
        sum(low <= y <= high for y, low, high in zip(actual, lo, hi, strict=True))
        for lo, hi in zip(forecast["lo"], forecast["hi"], strict=True)
    ]
    crps = metrics.crps(actual, quantiles, taus, 400)
    return n, len(actual) - n, mae, mae / scale, crps, hits
