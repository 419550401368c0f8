"""Checks of what a caller may get wrong, before any work is done."""

from __future__ import annotations

import itertools
import operator
import os
import re
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import SupportsIndex

from forecast.errors import InputError, nearest
from forecast.models.computed import is_computed
from forecast.models.spec import Model, with_season

# Names of the models that ship with the library: what a misspelt one is compared with.
MODELS = ("AR", "ARX", "ARIMA", "AutoARIMA", "AutoAR", "Naive", "SeasonalNaive", "Drift")


# Columns that results bring along beside those of the caller.
RESERVED = ("cutoff", "path", "model", "metric", "status")

# A forecast farther ahead than this is the mean and a constant band, and its frame would fill the memory.
MAX_HORIZON = 100_000

# What an alias must not end with: the names of interval columns are made so.
_ENDS = re.compile(r"-(lo|hi)-[0-9.]+$")


def check_count(name: str, value: object) -> int:
    """Return `value` as an int of 1 or more."""
    if not isinstance(value, SupportsIndex) or isinstance(value, bool) or operator.index(value) < 1:
        raise InputError(f"{name} must be a whole number of 1 or more, got {value!r}")
    return operator.index(value)


def check_horizon(h: object) -> int:
    """Return the horizon as an int from 1 to `MAX_HORIZON`."""
    steps = check_count("h", h)
    if steps > MAX_HORIZON:
        raise InputError(f"h must be at most {MAX_HORIZON}, got {h!r}; forecast a coarser series")
    return steps


def check_levels(level: object) -> tuple[float, ...]:
    """Return levels in percent, increasing and each once, from one number, several, or None for none."""
    if level is None:
        return ()
    values = [level] if isinstance(level, (Real, str)) else level
    if not isinstance(values, Iterable):
        raise InputError(f"level must be numbers between 0 and 100 (percent), got {level!r}")
    levels = tuple(sorted({_level(value) for value in values}))
    for narrow, wide in itertools.pairwise(levels):
        if f"{narrow:g}" == f"{wide:g}":
            raise InputError(f"levels {narrow!r} and {wide!r} are too close to tell their columns apart")
    return levels


def _level(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < 100:
        raise InputError(f"level must lie between 0 and 100 (percent), got {value!r}")
    if not 0 < float(f"{float(value):g}") < 100:
        raise InputError(f"level {value!r} is too close to 0 or 100; use at most six digits, as in 99.999")
    return float(value)


def check_model(model: object) -> Model:
    """Return `model` if it is one; what is nearly one is answered with the spelling that works."""
    if isinstance(model, type):
        raise InputError(f"a model is an object, got the class {model.__name__}; write {model.__name__}(...)")
    if isinstance(model, str):
        raise InputError(
            f"a model is an object, got its name {model!r}; write {model}()"
            if model in MODELS
            else f"a model is an object such as AutoAR(), got the name {model!r}{nearest(model, MODELS)}"
        )
    if not isinstance(model, Model):
        raise InputError(f"a model is an object such as AutoAR(), got {type(model).__name__}")
    return model


def check_models(model: object) -> list[Model]:
    """Return one model, or several, as a list with different aliases; None gives the default, `AutoAR`."""
    if model is None:
        from forecast.selection.auto_ar import AutoAR

        return [AutoAR()]
    given = list(model) if isinstance(model, (list, tuple)) else [model]
    if not given:
        raise InputError("the list of models is empty; leave it out for AutoAR")
    models = [check_model(one) for one in given]
    for one in models:
        if not one.alias or _ENDS.search(str(one.alias)):
            raise InputError(f"alias={one.alias!r} cannot be the name of a column of forecasts; give another")
    aliases = [one.alias for one in models]
    for alias in aliases:
        if aliases.count(alias) > 1:
            raise InputError(
                f"two models are called {alias!r}; give one another name, as in alias='{alias}2'"
            )
    return models


def check_names(models: Sequence[Model], columns: Sequence[str]) -> None:
    """Raise InputError where a model is called like a column of the frame, or a column like one of ours."""
    for model in models:
        if model.alias in columns:
            raise InputError(
                f"a model is called {model.alias!r}, like a column of the frame; give it an alias="
            )
    for column in columns:
        if column in RESERVED:
            raise InputError(f"column {column!r} is a name of results ({', '.join(RESERVED)}); rename it")


def resolve_models(model: object, season_length: int) -> list[Model]:
    """Return `check_models`, with the season filled in where a model leaves it to the data."""
    return [with_season(one, season_length) for one in check_models(model)]


def check_takes_exog(models: Sequence[Model], exog: Sequence[str]) -> None:
    """Raise InputError when regressors are given and no model takes them, or one is named like ours."""
    for name in exog:
        if is_computed(str(name)):
            raise InputError(
                f"regressor {name!r} is called like one that a model computes from the time; rename it, "
                "or leave it out of exog and pass fourier= or calendar= to the model"
            )
    if exog and not any(getattr(model, "takes_exog", False) for model in models):
        names = ", ".join(type(model).__name__ for model in models)
        raise InputError(
            f"exog was given, but {names} takes no regressors: use AutoAR, ARX, ARIMA or AutoARIMA"
        )


def check_jobs(n_jobs: object) -> int:
    """Return the number of threads; -1 means one a core."""
    if n_jobs == -1:
        return os.cpu_count() or 1
    return check_count("n_jobs (or -1 for all cores)", n_jobs)
