"""Values fit for a JSON column of both dialects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.errors import StoreError


def plain(values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return a copy of plain JSON values: numbers of numpy as Python's, tuples as lists.

    PostgreSQL has no NaN or infinity in JSON, and what cannot be measured must not keep a judgement from
    being kept: both become null.

    Raises
    ------
    StoreError
        `values`, which the message calls `what`, hold something that JSON does not have.
    """
    return {_key(key, what): _plain(value, what) for key, value in values.items()}


def _plain(value: Any, what: str) -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), what)
    if isinstance(value, np.generic):
        return _plain(value.item(), what)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return plain(value, what)
    if isinstance(value, list | tuple):
        return [_plain(one, what) for one in value]
    raise StoreError(f"{what} holds a {type(value).__name__}, which JSON does not have: {value!r:.80}")


def _key(key: object, what: str) -> str:
    if not isinstance(key, str):
        raise StoreError(f"{what} has the key {key!r}; JSON has text alone")
    return key
