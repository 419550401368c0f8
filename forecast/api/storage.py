"""Fitted models in folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import forecast
from forecast.api.fitted import Fitted
from forecast.errors import ArtifactError, InputError
from forecast.models import version
from forecast.models.ar import AR, ARX
from forecast.models.arima import ARIMA
from forecast.models.baselines import Drift, Naive, SeasonalNaive
from forecast.models.schema import Schema
from forecast.models.spec import Model, describe
from forecast.selection.auto_ar import AutoAR
from forecast.selection.auto_arima import AutoARIMA

MODELS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (AR, ARX, ARIMA, AutoAR, AutoARIMA, Drift, Naive, SeasonalNaive)
}


def save(fitted: Fitted, path: str | Path) -> None:
    """See `Fitted.save`."""
    stored = []
    for model, records in zip(fitted.models, fitted.records, strict=True):
        text = describe(model)
        spec = {"name": text.name, "arguments": text.arguments}
        stored.append(version.StoredModel(model.alias, spec, records))
    created_by = f"forecast-platform {forecast.__version__}"
    version.save(path, stored, schema=fitted.schema.to_json(), created_by=created_by)


def load(path: str | Path, find_parent: Callable[[str], str | Path] | None = None) -> Fitted:
    """Read models that `Fitted.save` wrote.

    Parameters
    ----------
    find_parent
        Returns the folder of a version, for one that holds only changes to another: what is read then are
        the series of the whole line of parents, each from the youngest version that has it.

    Raises
    ------
    ArtifactError
        The folder is corrupt, was written by something else, or by a newer version; the message names
        the file and what to do. Nothing in it is ever executed.
    """
    found = version.load(path)
    if found.manifest.parent_version is not None and find_parent is None:
        raise ArtifactError(
            f"{path} holds only changes to version {found.manifest.parent_version}; load it by its store"
        )
    whole = found.models
    if find_parent is not None:
        find = find_parent
        whole = version.resolve(found, lambda name: version.load(find(name)))
    models = tuple(_rebuild(stored.spec, Path(path)) for stored in whole)
    schema = Schema.from_json(found.manifest.schema)
    return Fitted(models, tuple(stored.records for stored in whole), schema)


def _rebuild(spec: Any, path: Path) -> Model:  # noqa: ANN401  # JSON
    name, arguments = spec.get("name"), spec.get("arguments")
    if name not in MODELS or not isinstance(arguments, dict):
        raise ArtifactError(
            f"{path}: unknown model {name!r}; it was written by a newer version or another program"
        )
    try:
        model: Model = MODELS[name](**arguments)
    except (InputError, TypeError) as error:
        raise ArtifactError(f"{path}: the specification of {name} cannot be read: {error}") from None
    return model
