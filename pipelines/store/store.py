"""The store: what the platform knows, in one SQLite file or one PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from forecast.models.freq import Freq, parse_freq
from forecast.models.manifest import Chunk, Manifest
from pipelines.errors import StoreError
from pipelines.store import (
    bundles,
    champions,
    forecasts,
    leases,
    observations,
    scores,
    series,
    upgrade,
    versions,
)
from pipelines.store.address import DEFAULT_URL, mask, parse_url
from pipelines.store.bundles import BundleRow, NewBundle
from pipelines.store.champions import ChampionRow, PromotionRow
from pipelines.store.engine import LOCK_TIMEOUT_S, make_engine, now_ms, reading
from pipelines.store.leases import Grant, Lease
from pipelines.store.queue import Queue
from pipelines.store.upgrade import SchemaReport, SchemaState
from pipelines.store.versions import NewVersion, VersionRow

if TYPE_CHECKING:
    import pandas as pd


def open_store(url: str = DEFAULT_URL, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Store:
    """Return the store at `url`; nothing is opened or made before it is used.

    Parameters
    ----------
    url
        ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/DATABASE``.
    lock_timeout_s
        How long a statement waits for another writer.

    Raises
    ------
    StoreError
        Another kind of URL, or PostgreSQL without psycopg.
    """
    return Store(url, lock_timeout_s)


class Store(Queue):
    """Every method is one transaction: kept whole, or not at all.

    Threads may share a store; a process that was forked must open its own. Methods raise `StoreError`,
    `retriable` where the same call can succeed later.
    """

    def __init__(self, url: str, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self._url = parse_url(url)
        self._lock_timeout_s = lock_timeout_s
        self._engine = make_engine(self._url, lock_timeout_s)

    @property
    def url(self) -> str:
        """Where the store is, without secrets."""
        return mask(self._url)

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    # The schema

    def upgrade(self, revision: str = "head") -> tuple[str | None, str | None]:
        """Make or upgrade the tables; return the revisions before and after, None for no tables."""
        return upgrade.upgrade(self._url, revision, self._lock_timeout_s)

    def downgrade(self, revision: str) -> tuple[str | None, str | None]:
        """Go back to `revision`, or to "base"; rows of tables that it drops are lost."""
        self.close()
        return upgrade.downgrade(self._url, revision, self._lock_timeout_s)

    def check(self) -> SchemaReport:
        """Compare revision and tables with what this code needs."""
        return upgrade.inspect_schema(self._engine)

    def schema_state(self) -> SchemaState:
        """Return "current", "older", "newer" than this code, or "absent"."""
        return upgrade.schema_state(self._engine)[0]

    def require_current(self) -> None:
        """Raise `StoreError`, which says what to do, unless the schema is the one of this code."""
        state, found, wanted = upgrade.schema_state(self._engine)
        if state == "newer":
            raise StoreError(f"{self.url}: {upgrade.newer_message(found, wanted)}")
        if state != "current":
            what = "has no tables yet" if state == "absent" else f"has the older schema {found}"
            raise StoreError(f"{self.url} {what}, this program needs {wanted}: run `forecast db upgrade`")

    def now_ms(self) -> int:
        """Return the time by the clock that rows are stamped by: of all workers the same."""
        with reading(self._engine) as connection:
            return now_ms(connection)

    def tables_with_rows(self) -> tuple[str, ...]:
        """Return the names of tables that hold rows."""
        return upgrade.tables_with_rows(self._engine)

    # Leases

    def lease(self, fleet: str, owner: str, ttl_s: float) -> Lease:
        """Take the right to train a fleet; a retriable `StoreError` names another owner that has it.

        An owner that asks again takes its own lease over, under a higher fence.
        """
        return leases.take_lease(self._engine, fleet, owner, ttl_s)

    def lease_holder(self, fleet: str) -> Grant | None:
        """Return who has the fleet now, None when it is free."""
        return leases.lease_holder(self._engine, fleet)

    # Versions and champions

    def add_version(
        self,
        fleet: str,
        manifest: Manifest,
        artifact_uri: str,
        parent_version: str | None = None,
        tracking: Mapping[str, str | None] | None = None,
        state: str = "candidate",
        lease: Lease | None = None,
        metrics: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> VersionRow:
        """Register a version and its chunks; of one that is known note anew its place, tracking and metrics.

        `tracking` has ``mlflow_run_id`` and ``mlflow_version``, `metrics` those of the fleet by alias,
        `training` what a refit begins from, ``{"history": folder, "job": {...}}``. Here and below: with
        `lease` the commit is refused once another took the fleet over.
        """
        new = NewVersion(manifest, artifact_uri, parent_version, tracking, state, metrics, training)
        return versions.add_version(self._engine, fleet, new, _grant(lease))

    def set_tracking(
        self, version: VersionRow | str, mlflow_run_id: str | None, mlflow_version: str | None
    ) -> VersionRow:
        """Note where a version is in MLflow."""
        return versions.set_tracking(
            self._engine, version, mlflow_run_id=mlflow_run_id, mlflow_version=mlflow_version
        )

    def set_state(self, version: VersionRow | str, state: str) -> VersionRow:
        """Change the state of a version that is not the champion."""
        return versions.set_state(self._engine, version, state)

    def versions(self, fleet: str | None = None) -> list[VersionRow]:
        """Return the versions of a fleet, or of all, in the order of their numbers."""
        return versions.list_versions(self._engine, fleet)

    def version(self, fleet: str, ref: str | int) -> VersionRow:
        """Return a version by number, by "champion", or by its sha256 or six characters of its beginning."""
        return versions.find_version(self._engine, fleet, ref)

    def chunks(self, version: VersionRow | str) -> dict[str, tuple[Chunk, ...]]:
        """Return the files of a version by the alias of their model."""
        return versions.list_chunks(self._engine, version)

    def champion(self, fleet: str) -> ChampionRow | None:
        """Return the champion of a fleet, None before the first."""
        return champions.get_champion(self._engine, fleet)

    def set_champion(
        self,
        fleet: str,
        version: VersionRow | str,
        expected_row_version: int | None,
        lease: Lease | None = None,
        reason: str = "",
    ) -> int:
        """Make `version` the champion if nobody changed the row since; return its new row version.

        `ConflictError` has the row version `found`. Expect None or 0 before the first champion.
        """
        return champions.set_champion(
            self._engine, fleet, version, expected_row_version, _grant(lease), reason
        )

    def champions(self) -> list[ChampionRow]:
        """Return the champions of all fleets, by name."""
        return champions.list_champions(self._engine)

    def set_told(self, fleet: str, row_version: int, announced: bool = False, mirrored: bool = False) -> None:
        """Note that the control topic, or MLflow, was told of the champion `row_version`."""
        champions.set_told(self._engine, fleet, row_version, announced, mirrored)

    def promotions(self, fleet: str) -> list[PromotionRow]:
        """Return every change of the champion of a fleet, oldest first."""
        return champions.list_promotions(self._engine, fleet)

    # Edge bundles

    def take_bundle_number(self, name: str) -> int:
        """Return the next number of a name's bundles, which is then taken, whatever becomes of it."""
        return bundles.take_bundle_number(self._engine, name)

    def add_bundle(self, version: VersionRow | str, bundle: NewBundle) -> BundleRow:
        """Register a bundle of a version; `ConflictError` where its number, or its sha256, is known."""
        return bundles.add_bundle(self._engine, version, bundle)

    def bundles(self, name: str | None = None) -> list[BundleRow]:
        """Return the bundles of a name, or of all, oldest first."""
        return bundles.list_bundles(self._engine, name)

    # Rows

    def write_series(
        self,
        fleet: str,
        ids: Iterable[object],
        freq: str | int | Freq,
        tz: str | None = None,
        unit: str | None = None,
        lease: Lease | None = None,
    ) -> None:
        """Register series; the same id of another fleet, or on another grid (`freq`, `tz`), is another."""
        series.write_series(self._engine, fleet, ids, parse_freq(freq, tz), unit, _grant(lease))

    def write_observations(
        self,
        fleet: str,
        ids: Any,  # noqa: ANN401  # a column, or what becomes one
        ds: Any,  # noqa: ANN401  # likewise
        y: Any,  # noqa: ANN401  # likewise
        freq: str | int | Freq,
        tz: str | None = None,
        quality: Any = None,  # noqa: ANN401  # likewise
        lease: Lease | None = None,
    ) -> int:
        """Write (n,) columns of a long frame and return n; a value sent again replaces the old one."""
        grid = parse_freq(freq, tz)
        return observations.write_observations(self._engine, fleet, ids, ds, y, grid, quality, _grant(lease))

    def observations(
        self,
        fleet: str,
        unique_id: object,
        freq: str | int | Freq,
        tz: str | None = None,
        last: int | None = None,
    ) -> pd.DataFrame:
        """Return `unique_id, ds, y` of one series, oldest first: all that is kept, or the `last` rows."""
        return observations.read_observations(self._engine, fleet, unique_id, parse_freq(freq, tz), last)

    def trim_observations(self, fleet: str, last: int, lease: Lease | None = None) -> int:
        """Delete all but the `last` rows of every series of a fleet; return how many rows that were."""
        return observations.trim_observations(self._engine, fleet, last, _grant(lease))

    def write_forecasts(
        self,
        version: VersionRow | str,
        frame: pd.DataFrame,
        id_col: str = "unique_id",
        time_col: str = "ds",
        lease: Lease | None = None,
    ) -> int:
        """Write what `predict` returned, and return its rows; one that is there already is replaced."""
        return forecasts.write_forecasts(self._engine, version, frame, id_col, time_col, _grant(lease))

    def forecasts(self, version: VersionRow | str, unique_id: object = None) -> pd.DataFrame:
        """Return `unique_id, model, cutoff, h, ds, level, mean, lo, hi`; level 0 has no interval."""
        return forecasts.read_forecasts(self._engine, version, unique_id)

    def write_scores(
        self,
        version: VersionRow | str,
        frame: pd.DataFrame,
        source: str = "backtest",
        id_col: str = "unique_id",
        lease: Lease | None = None,
    ) -> int:
        """Write what ``evaluate(by="unique_id")`` returned; a score sent again replaces the old one."""
        return forecasts.write_scores(self._engine, version, frame, source, id_col, _grant(lease))

    def scores(self, version: VersionRow | str, unique_id: object = None) -> pd.DataFrame:
        """Return `unique_id, source, model, metric, cutoff, value`."""
        return forecasts.read_scores(self._engine, version, unique_id)

    def write_live_scores(
        self, version: VersionRow | str, frame: pd.DataFrame, fleet_frame: pd.DataFrame
    ) -> int:
        """Write scores of live ticks: as in `write_scores`, and ``model, metric, cutoff, value, n``."""
        return scores.write_live_scores(self._engine, version, frame, fleet_frame)

    def fleet_scores(self, fleet: str, source: str | None = None) -> pd.DataFrame:
        """Return `ver, version, source, model, metric, cutoff, value, n` of a fleet."""
        return scores.read_fleet_scores(self._engine, fleet, source)

    def trim_forecasts(
        self, fleet: str, keep_versions: int, keep: VersionRow | None = None, lease: Lease | None = None
    ) -> int:
        """Delete forecasts and scores of all versions but the last ones, the champion and `keep`."""
        return forecasts.trim_forecasts(self._engine, fleet, keep_versions, keep, _grant(lease))


def _grant(lease: Lease | None) -> Grant | None:
    return lease.grant if lease is not None else None
