"""Drift detectors of one stream from their formulas, in float32 numbers one by one; the past is kept."""

from __future__ import annotations

import numpy as np

f32 = np.float32
BLOCKS = (16, 64, 256, 1024)


class Stream:
    """`tick` returns {detector code: statistic} of the alarms; `thresholds` are six."""

    def __init__(self, thresholds):
        self.thresholds = [f32(value) for value in thresholds]
        self.sums = {name: f32(0) for name in ("m+", "m-", "s+", "s-", "v+", "v-", "c", "r+", "r-")}
        self.before, self.past = f32(0), []

    def tick(self, z):
        if np.isnan(z):
            return {}
        raw = abs(z)
        with np.errstate(over="ignore"):
            z = f32(min(max(f32(z), f32(-3)), f32(3)))
        p, zz = self.before, f32(z * z)
        half = f32(0.5 * (1 - 1 / 2.25))
        fall = f32(-0.5625 * 0.5 * (2.25 - 1))
        cross, own = f32(z * p), f32(f32(p * p) * f32(-0.5 * 0.3**2))
        steps = {
            "m+": z - f32(0.5),
            "m-": -z - f32(0.5),
            "s+": z - f32(0.25),
            "s-": -z - f32(0.25),
            "v+": f32(zz * half) - f32(np.log(1.5)),
            "v-": f32(zz * fall) + f32(0.5625 * np.log(1.5)),
            "c": f32(np.log(0.15 / 0.05)) if raw > f32(1.96) else f32(np.log(0.85 / 0.95)),
            "r+": f32(cross * f32(0.3)) + own,
            "r-": f32(cross * f32(-0.3)) + own,
        }
        for name, step in steps.items():
            self.sums[name] = max(f32(self.sums[name] + f32(step)), f32(0))
        self.before = z
        self.past.append(z)
        groups = [("m+", "m-"), ("s+", "s-"), ("v+", "v-"), ("c",), ("r+", "r-")]
        statistics = [max(self.sums[name] for name in group) for group in groups] + [self.largest_window()]
        alarms = {}
        for code, (value, threshold) in enumerate(zip(statistics, self.thresholds, strict=True)):
            if value >= threshold:
                alarms[code] = float(value)
                if code == 5:
                    self.past = []
                else:
                    self.sums |= dict.fromkeys(groups[code], f32(0))
        return alarms

    def largest_window(self):
        """Largest T^2 / 2n over the windows that begin at the last two borders of each block length."""
        t, best = len(self.past), f32(0)
        for length in BLOCKS:
            border = (t - 1) // length * length
            for begin in (border, max(border - length, 0)):
                total = f32(0)
                for z in self.past[begin:]:
                    total = f32(total + z)
                weight = f32(0.5 / max(t - begin, 16))
                best = max(best, f32(f32(total * total) * weight))
        return best


REFERENCE, WINDOW, BINS = 256, 128, 10


class Input:
    """PSI and KS of one regressor; `tick` returns (psi, ks) when a window is full, else None."""

    def __init__(self, every=1):
        self.every, self.given, self.kept = every, 0, []

    def rest(self):
        self.given, self.kept = 0, []

    def tick(self, x):
        if np.isnan(x):
            return None
        self.given += 1
        if (self.given - 1) % self.every:
            return None
        self.kept.append(float(x))
        n = len(self.kept)
        if n < REFERENCE + WINDOW or (n - REFERENCE) % WINDOW:
            return None
        reference, window = np.array(self.kept[:REFERENCE]), np.array(self.kept[-WINDOW:])
        edges = np.sort(reference)[[REFERENCE * k // BINS for k in range(1, BINS)]]
        # Where edges are equal, a value that equals them lies in the middle.
        number = [
            (np.searchsorted(edges, values) + np.searchsorted(edges, values, side="right")) // 2
            for values in (reference, window)
        ]
        counts = [np.bincount(bins, minlength=BINS) for bins in number]
        q, p = (c / len(b) for c, b in zip(counts, number, strict=True))
        ks = np.abs(np.cumsum(p) - np.cumsum(q)).max()
        q, p = ((c + 0.5) / (len(b) + BINS / 2) for c, b in zip(counts, number, strict=True))
        deviation = number[0] - number[0].mean()
        spread = (deviation**2).sum()
        r = np.clip((deviation[1:] * deviation[:-1]).sum() / spread, 0.0, 0.99) if spread else 0.0
        factor = (1 - r) / (1 + r)
        return ((p - q) * np.log(p / q)).sum() * factor, ks * np.sqrt(factor)


def cusum_runs(k, h, streams, rng):
    """(streams,) run lengths of the plain two-sided CUSUM on standard normal numbers, none clipped."""
    up, down, runs, tick = np.zeros(streams), np.zeros(streams), [], 0
    while len(up):
        tick += 1
        z = rng.normal(size=len(up))
        up, down = np.maximum(up + z - k, 0), np.maximum(down - z - k, 0)
        calm = np.maximum(up, down) < h
        runs += [tick] * int((~calm).sum())
        up, down = up[calm], down[calm]
    return np.array(runs)
