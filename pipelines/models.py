"""Models from text, as commands and settings name them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from forecast.errors import InputError, nearest

if TYPE_CHECKING:
    from forecast.models.spec import Model


def parse_model(text: str) -> Model:
    """Return the model that `text` names: ``AutoAR``, or ``AR {"lags": 3, "method": "ols"}``.

    Raises
    ------
    InputError
        An unknown name or argument (the nearest known one is named), or arguments that are no JSON object.
    """
    from dataclasses import fields

    from forecast.api.storage import MODELS

    name, _, rest = text.strip().partition(" ")
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}{nearest(name, MODELS)}")
    try:
        arguments = json.loads(rest) if rest.strip() else {}
    except json.JSONDecodeError as error:
        raise InputError(f"arguments of {name} must be a JSON object, got {rest!r}: {error}") from None
    if not isinstance(arguments, dict):
        raise InputError(f"arguments of {name} must be a JSON object, got {rest!r}")
    known = [f.name for f in fields(MODELS[name])]
    for key in arguments:
        if key not in known:
            raise InputError(f"{name} has no argument {key!r}{nearest(key, known)}")
    model: Model = MODELS[name](**arguments)
    return model
