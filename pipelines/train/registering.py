"""Stage register: version, champion, series, hot window, forecasts and scores go into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from pipelines.logs import log
from pipelines.train.forecasting import FORECASTS
from pipelines.train.judging import scores_file
from pipelines.train.publishing import build_manifest
from pipelines.train.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    import pandas as pd

    from forecast.models.manifest import Manifest


# Rows and leases of the store go back to it as they came.
Own: TypeAlias = Any


class VersionRow(Protocol):
    """A registered version; see `pipelines.store`."""

    @property
    def ver(self) -> int: ...

    @property
    def version(self) -> str: ...

    @property
    def mlflow_run_id(self) -> str | None: ...

    @property
    def mlflow_version(self) -> str | None: ...


class ChampionRow(Protocol):
    """Which version serves a fleet."""

    @property
    def version(self) -> VersionRow: ...

    @property
    def row_version(self) -> int: ...


class Lease(Protocol):
    """The right to train a fleet; a commit under one that was lost is refused."""

    def renew(self) -> None: ...


class Store(Protocol):
    """What a job needs of the store; see `pipelines.store.Store`."""

    def __enter__(self) -> Store: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def schema_state(self) -> str: ...

    def upgrade(self) -> object: ...

    def require_current(self) -> None: ...

    def lease(self, fleet: str, owner: str, ttl_s: float) -> AbstractContextManager[Lease]: ...

    def add_version(
        self,
        fleet: str,
        manifest: Manifest,
        artifact_uri: str,
        *,
        lease: Own,
        metrics: Mapping[str, Any],
        training: Mapping[str, Any],
    ) -> VersionRow: ...

    def champion(self, fleet: str) -> ChampionRow | None: ...

    def set_champion(
        self, fleet: str, version: Own, expected_row_version: int | None, lease: Own, reason: str
    ) -> int: ...

    def version(self, fleet: str, ref: str) -> VersionRow: ...

    def set_tracking(self, version: Own, mlflow_run_id: str, mlflow_version: str) -> object: ...

    def write_series(
        self, fleet: str, ids: Iterable[object], freq: str, tz: str | None, *, lease: Own
    ) -> object: ...

    def write_observations(
        self, fleet: str, ids: Own, ds: Own, y: Own, freq: str, tz: str | None, *, lease: Own
    ) -> int: ...

    def trim_observations(self, fleet: str, last: int, *, lease: Own) -> int: ...

    def write_forecasts(
        self, version: Own, frame: pd.DataFrame, id_col: str, time_col: str, *, lease: Own
    ) -> int: ...

    def write_scores(self, version: Own, frame: pd.DataFrame, *, id_col: str, lease: Own) -> int: ...

    def trim_forecasts(self, fleet: str, keep_versions: int, keep: Own, lease: Own) -> int: ...


def begin(work: Work, store: Store) -> dict[str, Any]:
    """Note which champion the job found: it replaces that one, and no later one."""
    champion = store.champion(work.job.fleet)
    return {"row_version": None if champion is None else champion.row_version}


def register(work: Work, store: Store, lease: Lease) -> dict[str, Any]:
    """Write everything of a job that belongs into the store; again, it changes nothing.

    Rows come before the champion: whoever is told of a champion finds its forecasts. Every write is refused
    once another trainer has taken the fleet over.
    """
    job, version = work.job, work.facts("version")
    metrics = work.facts("backtest")["models"]
    # What a refit begins from: the same job, on the same history and what came since.
    training = {"history": work.facts("snapshot")["history"], "job": job.to_json()}
    manifest = build_manifest(work)
    row = store.add_version(
        job.fleet, manifest, version["folder"], lease=lease, metrics=metrics, training=training
    )
    rows = _write_rows(work, store, row, lease)
    store.trim_observations(job.fleet, _window(work), lease=lease)
    champion = _crown(work, store, row, lease)
    trimmed = store.trim_forecasts(job.fleet, work.settings.sql_versions, row, lease)
    if trimmed:
        log.info("%d rows of versions before the last %d were removed", trimmed, work.settings.sql_versions)
    log.info("%s@%d registered%s; rows: %s", job.fleet, row.ver, ", champion" if champion else "", rows)
    return {"ver": row.ver, "champion": champion, "rows": rows}


class Rows(NamedTuple):
    """What of one partition goes into the store; None where that stays in Parquet."""

    ids: list[Any]
    hot: pd.DataFrame | None
    forecasts: pd.DataFrame | None
    scores: pd.DataFrame | None


def _write_rows(work: Work, store: Store, row: VersionRow, lease: Lease) -> dict[str, int]:
    """Write series, hot window, forecasts and scores, a partition at a time; return the rows of each."""
    job, history, wanted, window = work.job, work.history(), _wanted(work), _window(work)
    freq = history.facts["freq"]
    written = {"series": 0, "observations": 0, **dict.fromkeys(sorted(wanted), 0)}
    if window < work.settings.hot_window:
        log.warning(
            "the store keeps the last %d points of each series, not %d: it takes %d rows a job (sql_rows)",
            window, work.settings.hot_window, work.settings.sql_rows,
        )  # fmt: skip

    def part(k: int) -> Rows:
        return Rows(
            work.panel(k).ids.tolist(),
            history.newest(k, window) if window else None,
            _forecasts(work, k) if "forecasts" in wanted else None,
            _scores(work, k) if "scores" in wanted else None,
        )

    for rows in work.each_part("register", part):
        store.write_series(job.fleet, rows.ids, freq["text"], freq["tz"], lease=lease)
        written["series"] += len(rows.ids)
        if rows.hot is not None:
            ids, ds, y = (rows.hot[name] for name in (job.id_col, job.time_col, job.target_col))
            written["observations"] += store.write_observations(
                job.fleet, ids, ds, y, freq["text"], freq["tz"], lease=lease
            )
        if rows.forecasts is not None:
            written["forecasts"] += store.write_forecasts(
                row, rows.forecasts, job.id_col, job.time_col, lease=lease
            )
        if rows.scores is not None and len(rows.scores):
            written["scores"] += store.write_scores(row, rows.scores, id_col=job.id_col, lease=lease)
    return written


def _window(work: Work) -> int:
    """Return how many points of each series the store keeps: fewer of a large fleet."""
    n_series: int = work.facts("snapshot")["n_series"]
    return min(work.settings.hot_window, work.settings.sql_rows // max(n_series, 1))


def _wanted(work: Work) -> set[str]:
    """Return what of a version goes into the store: what is too large stays in Parquet alone."""
    job, n = work.job, work.facts("snapshot")["n_series"]
    scores = work.facts("backtest")["models"]
    n_scores = sum(sum(name.endswith("_mean") for name in found) for found in scores.values())
    sizes = {
        "forecasts": n * job.horizon * max(len(job.levels), 1) * len(job.models)
        if work.facts("forecast")["file"]
        else 0,
        "scores": n * n_scores,
    }
    limit = work.settings.sql_rows
    for name, size in sizes.items():
        if size > limit:
            log.info("%d rows of %s stay in Parquet: the store takes %d a job (sql_rows)", size, name, limit)
    return {name for name, size in sizes.items() if 0 < size <= limit}


def _forecasts(work: Work, k: int) -> pd.DataFrame:
    """Return the forecasts of partition `k`: its rows of the file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(work.file(FORECASTS)) as file:
        frame: pd.DataFrame = file.read_row_group(k).to_pandas()
    return frame


def _scores(work: Work, k: int) -> pd.DataFrame:
    """Return the scores of partition `k`: a row a series and metric, a column a model."""
    import pandas as pd

    frame = pd.read_parquet(scores_file(work, k)).drop(columns="n_windows")
    key = work.job.id_col
    long = frame.melt(id_vars=[key, "model"], var_name="metric")
    return long.pivot_table(
        index=[key, "metric"], columns="model", values="value", sort=False, observed=True
    ).reset_index()


def _crown(work: Work, store: Store, row: VersionRow, lease: Lease) -> bool:
    """Make the version champion where there is none, or where that was asked for."""
    fleet = work.job.fleet
    champion = store.champion(fleet)
    if champion is not None and champion.version.version == row.version:
        return True
    if champion is not None and not work.job.promote:
        log.info("the champion stays %s@%d; --promote replaces it", fleet, champion.version.ver)
        return False
    expected = None if champion is None else champion.row_version
    if expected != work.facts("begin")["row_version"]:  # a job that was resumed late, mostly
        log.warning(
            "%s got another champion since this job began; %s@%d is not promoted", fleet, fleet, row.ver
        )
        return False
    reason = "the first version" if champion is None else f"--promote of run {work.folder.run_id}"
    store.set_champion(fleet, row, expected, lease, reason)
    return True
