"""JSON with one spelling for one value: what is hashed is what is stored."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from forecast.errors import InputError


def dumps(value: object, indent: int | None = None) -> bytes:
    """Return `value` as ASCII JSON, keys sorted, floats in their shortest exact form.

    Raises `InputError` for what JSON does not have: NaN, infinity, other types, keys that are not text.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    try:
        _refuse_odd_keys(value)
        text = json.dumps(value, sort_keys=True, separators=separators, allow_nan=False, indent=indent)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"cannot be stored as JSON: {error}") from error
    return text.encode("ascii")


def loads(data: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """Parse strictly; `ValueError` for NaN, infinity, duplicate keys, bad UTF-8 and deep nesting."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _refuse_odd_keys(value: object) -> None:
    # json.dumps would write {1: ...} and {"1": ...} alike, and so lose a key.
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not text")
            _refuse_odd_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_odd_keys(inner)
