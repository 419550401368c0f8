"""Tell MLflow who serves a fleet: aliases of its registered model, and the versions that they name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from forecast.errors import InputError
from pipelines.tracking.log import TIMEOUT_S, Logged, answer_of, experiment_of
from pipelines.tracking.summary import METRICS, Value, check_plain
from pipelines.tracking.tracker import Tracker


@dataclass(frozen=True, slots=True)
class VersionTold:
    """What MLflow is told of a version that no training job logged: a retrain, mostly."""

    version: str
    """sha256 of its manifest."""
    name: str
    """``FLEET@N``"""
    folder: str
    parent: str | None
    """sha256 of the version that it changes; None: it is whole."""
    number: str | None
    """Of the registered model, as the store has it; None: not registered yet."""
    params: Mapping[str, Value] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """By name, of `METRICS`; others are left out."""
    horizon: int = 1
    """Of the forecasts that the logged model gives when it is not told."""


@dataclass(frozen=True, slots=True)
class FleetTold:
    """What MLflow is told of a fleet."""

    fleet: str
    versions: tuple[VersionTold, ...]
    """Parents before their children; those that are registered already too."""
    champion: str | None
    """sha256; among `versions`."""
    challenger: str | None = None
    """None: no version has that alias."""


def mirror_fleet(
    told: FleetTold,
    tracking_uri: str,
    timeout_s: float = TIMEOUT_S,
    experiment: str | None = None,
    tracker: Tracker | None = None,
) -> dict[str, Logged]:
    """Register what is not registered, set the aliases, and return where each version is found.

    Again, it changes nothing. Of a version with a parent only its own files are uploaded: the logged model
    fetches those of its parents from the registry when it is loaded.

    Raises
    ------
    TrackingError
        MLflow is absent, down, slow or refuses; `retriable` when it may go better later.
    InputError
        The tracking URI is of another kind, a name cannot be told to MLflow, or a version stands before its
        parent.
    """
    check_plain("fleet", told.fleet)
    _check_order(told.versions)
    versions = [replace(each, folder=os.path.abspath(each.folder)) for each in told.versions]
    request: dict[str, Any] = {
        "do": "mirror",
        "experiment": experiment or experiment_of(told.fleet),
        "told": asdict(replace(told, versions=tuple(versions))),
    }
    answer = answer_of(request, tracking_uri, timeout_s, tracker)
    return {version: Logged(*where) for version, where in answer["versions"].items()}


def known_metrics(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Return of the metrics of a model those that MLflow is told."""
    found = metrics or {}
    named = {"coverage-80_mean": "coverage_80", "coverage-95_mean": "coverage_95"}
    pairs = ((named.get(name, name), value) for name, value in found.items())
    return {name: float(value) for name, value in pairs if name in METRICS and isinstance(value, int | float)}


def _check_order(versions: Sequence[VersionTold]) -> None:
    seen: set[str] = set()
    for each in versions:
        if each.parent is not None and each.parent not in seen:
            raise InputError(f"{each.name} stands before its parent {each.parent[:12]}")
        seen.add(each.version)
