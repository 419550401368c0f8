"""One export: the version from the store, a number for the bundle, the bundle, its row, its run in MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from forecast.errors import InputError
from pipelines.errors import PipelineError, StoreError
from pipelines.logs import log

if TYPE_CHECKING:
    from edge.bundle.keys import SigningKey
    from edge.exporting import Exported
    from forecast.api.fitted import Fitted
    from pipelines.settings import Settings
    from pipelines.store import BundleRow, Store, VersionRow
    from pipelines.tracking import BundleSummary

MODELS: Final = {"model": "model.onnx", "step": "step.onnx"}
DOCUMENTS: Final = ("manifest.json", "schema.json", "parity_report.json")

LogBundle = Callable[["BundleSummary", str, float], str]
"""Logs a bundle at a tracking URI, within so many seconds, and returns the id of its run."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to export."""

    model: str
    """FLEET@NUMBER, FLEET@champion, or the beginning of a version."""
    out: Path
    horizon: int
    levels: tuple[float, ...] = (80, 95)
    profile: Literal["latency", "balanced", "size"] = "balanced"
    prune: Literal["off", "parcor", "lags"] = "off"
    data: Path | None = None
    """The training data, for ``prune="lags"``."""
    key: Path | None = None
    unsigned: bool = False
    alias: str | None = None
    """Of the model; the first of the version if left out."""
    name: str | None = None
    """Of the bundle; the fleet if left out."""
    archive: bool = True
    overwrite: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """What came of it."""

    exported: Exported
    version: VersionRow
    row: BundleRow
    run_id: str | None
    """In MLflow."""
    not_logged: str | None
    """Why MLflow does not know of it; None when it does, or was not asked to."""


def export_bundle(
    wanted: Wanted, settings: Settings, log_bundle: LogBundle | None, progress: Progress | None = None
) -> Done:
    """Export a version of the store, register the bundle, and log it.

    Parameters
    ----------
    log_bundle
        See `pipelines.tracking.log_bundle`; None leaves MLflow out.

    Raises
    ------
    EdgeError
        Nothing can be exported, or it failed its check; nothing was written.
    StoreError
        The store cannot be used; `retriable` when the same command can succeed later.
    InputError
        There is no such version or model, or the data cannot be read.
    """
    from edge.bundle.folder import check_free
    from edge.bundle.order import key_of
    from pipelines.store import open_store

    key = key_of(wanted.key, wanted.unsigned)
    check_free(wanted.out, wanted.archive, wanted.overwrite)
    with open_store(settings.store()) as store:
        store.require_current()
        version = _version(store, wanted.model)
        fitted = _load(store, version)
        exported = _export(store, wanted, version, fitted, key, progress)
        row = _register(store, version, exported)
        not_logged, run_id = None, None
        if log_bundle is not None:
            try:
                run_id = log_bundle(
                    summary(exported, version), settings.tracking_uri, settings.tracking_timeout_s
                )
            except PipelineError as error:
                log.warning("not logged to MLflow: %s", error)
                not_logged = str(error)
    return Done(exported, version, row, run_id, not_logged)


def _version(store: Store, name: str) -> VersionRow:
    from pipelines.model_names import find_version

    if Path(name).is_dir():
        raise InputError(
            f"{name!r} is a folder, which has no place in the store; name FLEET@champion, FLEET@NUMBER or a "
            "version, or call edge.export(forecast.load(...), ...) in Python"
        )
    return find_version(store, name)


def _load(store: Store, version: VersionRow) -> Fitted:
    import forecast as fc

    return fc.load(version.artifact_uri, lambda parent: store.version(version.fleet, parent).artifact_uri)


def _export(
    store: Store, wanted: Wanted, version: VersionRow, fitted: Fitted, key: SigningKey | None,
    progress: Progress | None,
) -> Exported:  # fmt: skip
    from edge.bundle.order import Order, records_of
    from edge.exporting import export
    from edge.runtime.manifest import ModelRef

    alias, _ = records_of(fitted, wanted.alias or fitted.models[0].alias)
    name = wanted.name or version.fleet
    champion = store.champion(version.fleet)
    serving = champion is not None and champion.version.id == version.id
    origin = ModelRef(
        alias, version.version, champion.row_version if champion and serving else None, version.mlflow_run_id
    )
    data = _data(wanted, fitted)
    # What makes no sense takes no number.
    Order(name, 1, wanted.horizon, wanted.levels, wanted.profile, wanted.prune, key, origin, None)
    return export(
        fitted, wanted.out, horizon=wanted.horizon, level=wanted.levels, profile=wanted.profile,
        sign_key=key, unsigned=wanted.unsigned, model=alias, prune=wanted.prune,
        data=data, name=name,
        # Taken when nothing but the export itself can fail: a number that was taken is never given again.
        bundle_version=store.take_bundle_number(name),
        origin=origin, created_ts_ms=time.time_ns() // 1_000_000, archive=wanted.archive,
        overwrite=wanted.overwrite, progress=progress,
    )  # fmt: skip


def _data(wanted: Wanted, fitted: Fitted) -> Any:  # noqa: ANN401  # a frame
    if wanted.data is None:
        if wanted.prune == "lags":
            raise InputError("--prune lags judges by the training data: name their file with --data")
        return None
    if wanted.prune != "lags":
        raise InputError("--data is for --prune lags; leave it out")
    from pipelines.tables import read_table

    return read_table(wanted.data, fitted.schema.time_col, fitted.schema.id_col)


def _register(store: Store, version: VersionRow, exported: Exported) -> BundleRow:
    from pipelines.store import NewBundle

    bundle = NewBundle(
        exported.name, exported.bundle_version, exported.model, exported.digest,
        str((exported.archive or exported.path).absolute()), exported.opset, exported.profile,
        exported.parity_err, exported.size, exported.key_id,
    )  # fmt: skip
    try:
        return store.add_bundle(version, bundle)
    except StoreError as error:
        raise StoreError(
            f"{exported.path} is written, but not registered: {error}", retriable=error.retriable
        ) from error


def summary(exported: Exported, version: VersionRow) -> BundleSummary:
    """Return what MLflow is told of a bundle."""
    from pipelines.tracking import BundleSummary

    report = exported.report
    there = report[report["status"] != "left out"]
    bits = {f"n_{bits}_bit": int((there["bits"] == bits).sum()) for bits in (4, 8, 16, 64)}
    metrics = {
        "n_series": len(there), "n_left_out": len(report) - len(there), **bits,
        "n_step_only": int((there["status"] == "step only").sum()),
        "max_pole": there["max_pole_after"].max(), "min_margin": there["margin"].min(),
        "max_rmse_rise": there["rmse_rise"].max(), "parity_err": exported.parity_err,
        "bundle_bytes": exported.size,
    }  # fmt: skip
    return BundleSummary(
        fleet=version.fleet, name=exported.name, bundle_version=exported.bundle_version,
        digest=exported.digest, version=version.version, run_id=version.mlflow_run_id,
        models={k: str(path) for k, name in MODELS.items() if (path := exported.path / name).exists()},
        documents=tuple(str(exported.path / name) for name in DOCUMENTS),
        params={
            "model": exported.model, "profile": exported.profile, "bundle_version": exported.bundle_version
        },
        metrics={name: float(value) for name, value in metrics.items()}, key_id=exported.key_id,
    )  # fmt: skip
