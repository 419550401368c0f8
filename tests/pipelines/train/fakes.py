"""A store and an MLflow in memory, or in one JSON file where processes share them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from pipelines.errors import StoreError, TrackingError


class FakeStore:
    """Keeps what was written by key, so that a row written twice is there once."""

    def __init__(self, path: Path, held_by: str | None = None, state: str = "current") -> None:
        self.path, self.held_by, self.state = path, held_by, state
        self.rows = {"versions": {}, "champion": {}, "tracking": {}, "writes": 0}
        if path.exists():
            self.rows = json.loads(path.read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def _save(self):
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.rows))
        part.replace(self.path)

    def schema_state(self):
        return self.state

    def upgrade(self):
        self.state = "current"

    def require_current(self):
        if self.state != "current":
            raise StoreError(f"the schema is {self.state}: forecast db upgrade")

    def lease(self, fleet, owner, ttl_s):
        if self.held_by not in (None, owner):
            raise StoreError(f"fleet {fleet!r} is being trained by {self.held_by!r}", retriable=True)
        return FakeLease(fleet, owner)

    def add_version(self, fleet, manifest, artifact_uri, lease=None, metrics=None, training=None):
        key = f"{fleet}/{manifest.version}"
        self.rows["versions"].setdefault(key, len(self.rows["versions"]) + 1)
        self._save()
        return self.version(fleet, manifest.version)

    def version(self, fleet, ref):
        logged = self.rows["tracking"].get(ref, [None, None])
        return SimpleNamespace(
            fleet=fleet, version=ref, ver=self.rows["versions"][f"{fleet}/{ref}"], mlflow_run_id=logged[0],
            mlflow_version=logged[1],
        )  # fmt: skip

    def champion(self, fleet):
        found = self.rows["champion"].get(fleet)
        return found and SimpleNamespace(version=self.version(fleet, found[0]), row_version=found[1])

    def set_champion(self, fleet, version, expected_row_version, lease=None, reason=""):
        new = (expected_row_version or 0) + 1
        self.rows["champion"][fleet] = [version.version, new]
        self._save()
        return new

    def write_series(self, fleet, ids, freq, tz, lease):
        self._write("series", [[fleet, str(i), freq] for i in ids], [0] * len(ids))

    def write_observations(self, fleet, ids, ds, y, freq, tz, lease):
        keys = [[fleet, str(i), str(t)] for i, t in zip(ids, ds, strict=True)]
        return self._write("observations", keys, list(y))

    def trim_observations(self, fleet, last, lease):
        return 0

    def write_forecasts(self, version, frame, id_col, time_col, lease):
        keys = list(zip(frame[id_col], map(str, frame[time_col]), strict=True))
        return self._write("forecasts", [[version.version, *k] for k in keys], frame.iloc[:, 2].tolist())

    def write_scores(self, version, frame, *, id_col, lease):
        keys = list(zip(frame[id_col], frame["metric"], strict=True))
        return self._write("scores", [[version.version, *k] for k in keys], frame.iloc[:, 2].tolist())

    def trim_forecasts(self, fleet, keep_versions, keep, lease):
        return 0

    def _write(self, table, keys, values):
        for key, value in zip(keys, values, strict=True):
            self.rows.setdefault(table, {})["|".join(key)] = None if value != value else value
        self._save()
        return len(keys)

    def set_tracking(self, version, mlflow_run_id, mlflow_version):
        self.rows["tracking"][version.version] = [mlflow_run_id, mlflow_version]
        self._save()


class FakeLease:
    def __init__(self, fleet, owner):
        self.grant = SimpleNamespace(fleet=fleet, owner=owner, fence=1)

    def renew(self):
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class FakeMlflow:
    """`log_job` in memory."""

    def __init__(self, down: bool = False) -> None:
        self.down, self.jobs = down, {}

    def __call__(self, summary, tracking_uri, timeout_s):
        if self.down:
            raise TrackingError(f"{tracking_uri} does not answer", retriable=True)
        self.jobs[summary.job_id] = summary
        return SimpleNamespace(run_id=f"run-{summary.job_id}", model_version=str(len(self.jobs)))
