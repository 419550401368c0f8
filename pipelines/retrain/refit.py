"""One refit: the series that drifted, their challengers, and the overlay version that holds them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecast.errors import nearest
from pipelines.errors import StreamError, TrainError
from pipelines.logs import log

if TYPE_CHECKING:
    from forecast.api.fitted import Fitted
    from forecast.models.manifest import Manifest
    from forecast.models.records import Records
    from forecast.models.spec import Model
    from forecast.selection.challenge import Challenge
    from pipelines.retrain.source import Source
    from pipelines.settings import Settings
    from pipelines.store import ChampionRow, Store

# Series whose names are noted with a job; the evidence has more.
_NAMED: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What a job asks for."""

    series: frozenset[str] | None
    """Ids as text; None: all of the fleet."""
    alias: str | None = None
    """Of the model; None: the one that serves."""


@dataclass(frozen=True, slots=True, eq=False)
class Refit:
    """What came of it."""

    passed: bool
    why: str
    gate: Mapping[str, Any]
    """Evidence of the challenge, plain JSON."""
    parity: Mapping[str, Any] | None = None
    manifest: Manifest | None = None
    folder: Path | None = None
    """Of the overlay, where one was written."""


def refit(
    settings: Settings,
    store: Store,
    champion: ChampionRow,
    wanted: Wanted,
    *,
    stage: str,
    source: Source | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Refit:
    """Fit challengers of some series, judge them against the champion, and write those that passed.

    Parameters
    ----------
    stage
        Job and fence, ``retrain-7-1``: names the folder in which the overlay is written before it has a name
        of its own.
    source
        Data in place of the history of the training.
    progress
        Called after every origin; what it raises ends the refit.

    Raises
    ------
    TrainError
        The history is gone; or the champion has none of the series.
    ForecastError
        The data, or the champion's folder, cannot be used.
    """
    from forecast.api.arguments import check_jobs
    from forecast.selection.challenge import challenge
    from pipelines.retrain.data import read_data
    from pipelines.retrain.source import job_of

    row = champion.version
    fitted = _load(store, champion)
    k = _index(fitted, wanted.alias, champion)
    model, records = fitted.models[k], fitted.records[k]
    ids = _ids(records, wanted, champion)
    job = job_of(row)
    panel = read_data(settings, row, fitted.schema, ids, source)
    # A file may read as numbers what the champion has as text: it is the text that names a series.
    named = {str(key): key for key in records.ids.tolist()}
    panel = replace(panel, ids=np.array([named[key] for key in ids], dtype=records.ids.dtype))
    found = challenge(
        panel, records, model, h=job.horizon, folds=settings.retrain_folds, alpha=settings.retrain_alpha,
        jobs=check_jobs(settings.jobs), progress=progress,
    )  # fmt: skip
    gate = {
        "passed": found.passed, "why": found.reason, "model": model.alias,
        "row_version": champion.row_version, "asked": len(ids), "names": ids[:_NAMED], **found.evidence,
    }  # fmt: skip
    if found.records is None:
        return Refit(False, found.reason, gate)
    return _keep(settings, champion, fitted, model, found, gate, stage)


def _keep(
    settings: Settings, champion: ChampionRow, fitted: Fitted, model: Model, found: Challenge,
    gate: Mapping[str, Any], stage: str,
) -> Refit:  # fmt: skip
    """Write the overlay; one whose files would answer otherwise on a device is written, and refused."""
    from pipelines.retrain.parity import parity

    records = found.records
    if records is None:
        raise TrainError("no challenger passed")
    same = parity(records)
    manifest, folder = _write(settings, champion, fitted, model, records, stage)
    why = found.reason if same.passed else same.why
    return Refit(same.passed, why, {**gate, "changed": records.n_series}, same.evidence, manifest, folder)


def _load(store: Store, champion: ChampionRow) -> Fitted:
    import forecast as fc

    row = champion.version
    return fc.load(row.artifact_uri, lambda parent: store.version(row.fleet, parent).artifact_uri)


def _index(fitted: Fitted, alias: str | None, champion: ChampionRow) -> int:
    """Return which model of the champion is meant: the one that was asked for, or the one that serves."""
    from forecast.models.version import StoredModel
    from pipelines.stream.loading import choose

    row = champion.version
    aliases = [model.alias for model in fitted.models]
    stored = [StoredModel(name, {}, each) for name, each in zip(aliases, fitted.records, strict=True)]
    try:
        return aliases.index(choose(stored, alias, row.metrics, row.name).alias)
    except StreamError as error:
        raise TrainError(str(error)) from None


def _ids(records: Records, wanted: Wanted, champion: ChampionRow) -> list[str]:
    """Return the ids to refit, as text, in the champion's order."""
    known = [str(key) for key in records.ids.tolist()]
    if wanted.series is None:
        return known
    chosen = [key for key in known if key in wanted.series]
    if not chosen:
        name = min(wanted.series, default="")
        raise TrainError(f"{champion.version.name} has no series {name!r}{nearest(name, known)}")
    left = len(wanted.series) - len(chosen)
    if left:
        log.warning(
            "%d of %d series are not in %s and left out", left, len(wanted.series), champion.version.name
        )
    return chosen


def _write(
    settings: Settings, champion: ChampionRow, fitted: Fitted, model: Model, records: Records, stage: str
) -> tuple[Manifest, Path]:
    """Write the overlay into ``models/FLEET/VERSION``.

    It has no clock: done again after a kill, the same data give the same version.
    """
    import forecast
    from forecast.models import version
    from forecast.models.spec import describe

    root = settings.model_root.absolute() / champion.fleet
    temporary = root / f".{stage}.tmp"
    text = describe(model)
    stored = version.StoredModel(model.alias, {"name": text.name, "arguments": text.arguments}, records)
    try:
        _sweep(root, stage)
        manifest = version.save(
            temporary, [stored], schema=fitted.schema.to_json(),
            created_by=f"forecast-platform {forecast.__version__}", parent_version=champion.version.version,
        )  # fmt: skip
        target = root / manifest.version
        if not _whole(target, manifest):
            shutil.rmtree(target, ignore_errors=True)
            temporary.replace(target)
    except OSError as error:
        raise TrainError(
            f"the overlay cannot be written to {root}: {error.strerror or error}", retriable=True
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return manifest, target


def _sweep(root: Path, stage: str) -> None:
    """Remove what attempts at the same job that were killed left half written.

    Not of a later fence: its worker took over from this one, and is at it.
    """
    job, _, fence = stage.rpartition("-")
    for left in [*root.glob(f".{job}-*"), *root.glob(f"..{job}-*")]:
        other = left.name.lstrip(".").removeprefix(f"{job}-").partition(".")[0]
        if not (other.isdecimal() and int(other) > int(fence)):
            shutil.rmtree(left, ignore_errors=True)


def _whole(target: Path, manifest: Manifest) -> bool:
    from forecast.errors import ArtifactError
    from forecast.models import version

    try:
        return version.load(target).manifest.version == manifest.version
    except ArtifactError:
        return False
