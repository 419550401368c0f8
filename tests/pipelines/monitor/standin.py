"""Drift detection in plain Python, until the library's bank is there."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

DETECTORS = ("mean", "slow", "variance", "coverage", "correlation", "adaptive")


@dataclass(frozen=True)
class Alarms:
    position: np.ndarray
    row: np.ndarray
    detector: np.ndarray
    statistic: np.ndarray


class DriftBank:
    def __init__(self, n=0, arl0=1_440_000.0, detectors=DETECTORS):
        self.s = np.zeros((n, 2))
        self.thresholds = np.full(6, 11.7)

    @property
    def n(self):
        return len(self.s)

    def grow(self, n):
        if n > self.n:
            self.s = np.concatenate([self.s, np.zeros((n - self.n, 2))])

    def step(self, rows, z):
        found = []
        for i, (row, value) in enumerate(zip(rows.tolist(), z.tolist(), strict=True)):
            if np.isnan(value):
                continue
            value = max(-3.0, min(value, 3.0))
            self.s[row] = np.maximum(self.s[row] + [value - 0.5, -value - 0.5], 0)
            if self.s[row].max() > 11.7:
                found.append((i, row, 0, float(self.s[row].max())))
                self.s[row] = 0
        columns = list(zip(*found, strict=True)) or [(), (), (), ()]
        return Alarms(
            np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.uint8),
            np.array(columns[3], np.float64),
        )  # fmt: skip

    def reset(self, rows):
        self.s[rows] = 0

    def dump(self, rows=None):
        return json.dumps(self.s.tolist()).encode()

    @classmethod
    def load(cls, data, arl0=1_440_000.0, detectors=DETECTORS):
        bank = cls()
        bank.s = np.array(json.loads(data)).reshape(-1, 2)
        return bank
