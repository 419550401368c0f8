"""JSON read strictly: one meaning or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from .errors import BundleError

T = TypeVar("T")


def loads(data: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """Parse UTF-8 JSON; `ValueError` for NaN, infinity, a key given twice and deep nesting."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dumps(value: object) -> bytes:
    """Return canonical JSON: ASCII, sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found


def _refused(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


class Fields:
    """The keys of one JSON object, each taken once; what is left over in the end is refused."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise BundleError(f"{where} must be an object, got {type(value).__name__}")
        self._left = dict(value)
        self._where = where

    def take(self, key: str, read: Callable[[object], T]) -> T:
        """Return what `read` makes of `key`; `BundleError` names the key where it cannot."""
        if key not in self._left:
            raise BundleError(f"{self._where} has no {key!r}")
        try:
            return read(self._left.pop(key))
        except (TypeError, ValueError, OverflowError) as error:
            raise BundleError(f"{self._where}: {key!r} {error}") from None

    def end(self) -> None:
        """Raise BundleError where keys are left over."""
        if self._left:
            raise BundleError(f"{self._where} has unknown keys: {sorted(self._left)[:5]}")


def text(value: object) -> str:
    """Return a text of 1 to 256 characters without NUL."""
    if not isinstance(value, str) or not 0 < len(value) <= 256 or "\0" in value:
        raise ValueError(f"must be a text of 1 to 256 characters, got {value!r:.80}")
    return value


def any_text(value: object) -> str:
    """Return a text of up to 256 characters; it may be empty."""
    return "" if value == "" else text(value)


def optional(read: Callable[[object], T]) -> Callable[[object], T | None]:
    """Return a reader that lets null pass."""
    return lambda value: None if value is None else read(value)


def whole(low: int, high: int) -> Callable[[object], int]:
    """Return a reader of whole numbers in low..high."""

    def read(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be a whole number in {low}..{high}, got {value!r:.80}")
        return value

    return read


def number(value: object) -> float:
    """Return a finite number."""
    if type(value) not in (int, float) or not abs(float(value)) < float("inf"):  # type: ignore[arg-type]
        raise ValueError(f"must be a finite number, got {value!r:.80}")
    return float(value)  # type: ignore[arg-type]


def flag(value: object) -> bool:
    """Return true or false."""
    if type(value) is not bool:
        raise ValueError(f"must be true or false, got {value!r:.80}")
    return value


def one_of(*words: str) -> Callable[[object], str]:
    """Return a reader of one of `words`."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"must be one of {words}, got {value!r:.80}")
        return value

    return read


def many(read: Callable[[object], T], most: int) -> Callable[[object], tuple[T, ...]]:
    """Return a reader of a list of at most `most` values."""

    def read_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"must be a list of at most {most} values, got {value!r:.80}")
        return tuple(read(item) for item in value)

    return read_all
