"""A small hourly fleet in a store: a whole version, and ones that change some of its series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import forecast as fc
from forecast.models import version
from forecast.models.spec import describe
from pipelines.settings import Settings
from pipelines.store import Store, VersionRow

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS
IDS = ("a", "b", "c", "d")
POINTS = 200


def values(seed: int, n: int, level: float = 10.0) -> np.ndarray:
    """An AR(1) about a level, oldest first."""
    noise = np.random.default_rng(seed).normal(size=n)
    y, before = np.empty(n), 0.0
    for t in range(n):
        before = 0.5 * before + noise[t]
        y[t] = level + before
    return y


def frame(columns: dict[str, np.ndarray], first: int = 0) -> pd.DataFrame:
    """Return a long frame; `first` is the hour of the first point."""
    parts = []
    for name, y in columns.items():
        ds = pd.to_datetime(START_MS + HOUR_MS * np.arange(first, first + len(y)), unit="ms")
        parts.append(pd.DataFrame({"unique_id": name, "ds": ds, "y": y}))
    return pd.concat(parts, ignore_index=True)


def ticks(columns: dict[str, np.ndarray], first: int) -> pd.DataFrame:
    """Return what `read_ticks` returns."""
    long = frame(columns, first)
    ts = long["ds"].to_numpy("datetime64[ms]").astype(np.int64)
    out = pd.DataFrame({"unique_id": long["unique_id"].astype(object), "ts_ms": ts, "y": long["y"]})
    return out.sort_values(["unique_id", "ts_ms"], ignore_index=True)


def fit(columns: dict[str, np.ndarray], first: int = 0, lags: int = 1) -> fc.Fitted:
    return fc.fit(frame(columns, first), fc.AR(lags=lags), "h", n_jobs=1)


@dataclass
class Shop:
    """A store, its settings, and the fleet "shop" in it."""

    store: Store
    settings: Settings
    folder: Path

    def add(self, fitted: fc.Fitted, parent: VersionRow | None = None, **more) -> VersionRow:
        """Save a version, register it, and return its row."""
        text = describe(fc.AR(lags=1))
        spec = {"name": text.name, "arguments": text.arguments}
        stage = self.folder / f"stage-{len(self.store.versions('shop'))}"
        manifest = version.save(
            stage,
            [version.StoredModel("AR", spec, fitted.records[0])],
            schema=fitted.schema.to_json(),
            created_by="tests 1",
            parent_version=None if parent is None else parent.version,
        )
        target = self.settings.model_root / "shop" / manifest.version
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            stage.replace(target)
        metrics = {"AR": {"mase_mean": 0.5, "coverage-95_mean": 0.94}}
        return self.store.add_version("shop", manifest, str(target), metrics=metrics, **more)

    def whole(self, seed: int = 0, level: float = 10.0) -> VersionRow:
        return self.add(fit({name: values(seed + i, POINTS, level) for i, name in enumerate(IDS)}))

    def overlay(
        self, parent: VersionRow, ids: tuple[str, ...], level: float = 20.0, seed: int = 50, **more
    ) -> VersionRow:
        """A version that changes some series: they are about another level now."""
        own = {name: values(seed + i, POINTS, level) for i, name in enumerate(ids)}
        return self.add(fit(own), parent, **more)
