"""What a job leaves, without what may differ between two that did the same: clocks, run ids, row numbers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pipelines.store import open_store
from pipelines.store.engine import reading
from pipelines.store.tables import Base

RESULTS = ("quality.parquet", "forecasts.parquet", "report.parquet")
CLOCKS = {"added_ts_ms", "changed_ts_ms", "ts_ms", "fence", "owner"}


def files(run_id):
    """Hashes of everything that one job left in the current folder, but for facts of its stages."""
    roots = [Path("runs", run_id, name) for name in RESULTS]
    roots += [p for top in ("models", "history") for p in sorted(Path(top).rglob("*")) if p.is_file()]
    return {str(p).replace(run_id, "RUN"): hashlib.sha256(p.read_bytes()).hexdigest() for p in roots}


def summary(run_id):
    found = json.loads(Path("runs", run_id, "summary.json").read_text())
    return {k: v for k, v in found.items() if k not in ("run_id", "folder", "forecasts", "new_version")}


def rows(url):
    """Every row of every table, with names instead of numbers of rows."""
    with open_store(url) as store, reading(store._engine) as connection:
        found = {
            table.name: [dict(row._mapping) for row in connection.execute(table.select())]
            for table in Base.metadata.sorted_tables
        }
    names = {row["id"]: f"{row['fleet']} {row['key']} {row['freq']}" for row in found["series"]}
    names_of_versions = {row["id"]: f"{row['fleet']} {row['version']}" for row in found["model_version"]}
    return {
        name: sorted(_plain(row, names, names_of_versions) for row in rows) for name, rows in found.items()
    }


def _plain(row, series, versions):
    plain = {}
    for name, value in row.items():
        if name in CLOCKS or name == "id":
            continue
        if name == "series_id":
            value = series[value]  # noqa: PLW2901
        elif name in ("model_version_id", "parent_id", "previous_id"):
            value = versions.get(value)  # noqa: PLW2901
        elif name == "artifact_uri":
            value = Path(value).name  # noqa: PLW2901
        elif name == "training":
            value = {**value, "history": Path(value["history"]).name}  # noqa: PLW2901
        plain[name] = value
    return json.dumps(plain, sort_keys=True)


def left(url, run_id):
    return {**files(run_id), "summary": summary(run_id), **rows(url)}


def litter():
    """Files that a process which died had not put in their place."""
    return [str(p) for p in Path().rglob("*") if p.name.endswith((".part", ".tmp"))]
