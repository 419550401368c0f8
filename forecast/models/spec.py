"""What every model is: a frozen value that turns a panel into records."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from forecast.models.panel import Panel
from forecast.models.records import Records


@runtime_checkable
class Model(Protocol):
    """A model specification; every model of the platform is a frozen dataclass of this shape."""

    @property
    def alias(self) -> str:
        """Name of its column in results."""
        ...

    def fit(self, panel: Panel, jobs: int = 1) -> Records:
        """Fit every series of `panel`; a bad one gets a status and a fallback, never an error.

        Parameters
        ----------
        panel
            Regressors in ``panel.exog`` are used by models that take them.
        jobs
            Threads; the result does not depend on it.
        """
        ...


M = TypeVar("M", bound=Model)


def with_season(model: M, season_length: int) -> M:
    """Return `model` with its `season_length` filled in where it was left to the data."""
    if getattr(model, "season_length", 1) is None:
        return cast("M", replace(cast("Any", model), season_length=season_length))
    return model


@dataclass(frozen=True, slots=True)
class SpecText:
    """A specification as JSON: the class name and its arguments."""

    name: str
    arguments: dict[str, Any]


def describe(model: Model) -> SpecText:
    """Return `model` as plain JSON values."""
    if not is_dataclass(model):
        raise TypeError(f"a model is a frozen dataclass, got {type(model).__name__}")
    return SpecText(type(model).__name__, {f.name: getattr(model, f.name) for f in fields(model)})
