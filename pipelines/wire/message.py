"""What all wire messages share: bounded decoding with a reason for every refusal, strict encoding."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import msgspec

from pipelines.errors import Reason, WireError

WIRE_VERSION = 1

# An id is a Kafka key, a column of a B-tree index (PostgreSQL: 2,704 bytes an entry) and a label of
# log lines. 256 characters are at most 1,024 bytes of UTF-8.
MAX_TEXT_CHARS = 256

# int64 nanoseconds, the unit of the grids, end here: the years 1677 to 2262.
MAX_TS_MS = 9_223_372_036_854

# Kafka offsets and SQL keys are signed 64-bit.
MAX_INT = 2**63 - 1

# How much of a foreign name a reason may quote: headers are for people, and are copied into logs.
_QUOTED_CHARS = 64


class Message(Protocol):
    """A wire message: a frozen struct with its wire version."""

    @property
    def v(self) -> int: ...


M = TypeVar("M", bound=Message)


class WireCodec(Generic[M]):
    """Bytes to messages of one kind and back.

    Parameters
    ----------
    kind
        The struct.
    max_bytes
        Largest message.
    check
        Raises `WireError` for a message whose types are right and whose content is not.
    n_pairs
        Number of key-value pairs, those of inner objects included, of a message without duplicate keys.
    numbers
        The floats of a message, which must be finite to be sent.
    """

    def __init__(
        self,
        kind: type[M],
        max_bytes: int,
        check: Callable[[M], None],
        n_pairs: Callable[[M], int],
        numbers: Callable[[M], Iterable[float]],
    ) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._encoder = msgspec.json.Encoder()
        self._fields = msgspec.structs.fields(kind)  # type: ignore[arg-type]  # Message is a Protocol
        self._max_bytes = max_bytes
        self._check = check
        self._n_pairs = n_pairs
        self._numbers = numbers

    def decode(self, data: bytes | None) -> M:
        """Return the message in `data`; `WireError` with its reason for anything else."""
        if not data:
            raise WireError(Reason.EMPTY, "no bytes")
        if len(data) > self._max_bytes:
            raise WireError(Reason.TOO_LARGE, f"{len(data)} bytes, at most {self._max_bytes}")
        try:
            message = self._decoder.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            message = None
        if message is None or message.v != WIRE_VERSION:
            self._explain(data)
        self._check(message)
        # Every pair has one colon outside of texts, so as many colons as pairs means that no key
        # came twice; more of them may stand in texts, and are looked into.
        if data.count(b":") != self._n_pairs(message):
            _load(data)
        return message

    def encode(self, message: M) -> bytes:
        """Return `message` as JSON, fields in their order; `WireError` for what `decode` would refuse."""
        try:
            finite = all(map(math.isfinite, self._numbers(message)))
            data = self._encoder.encode(message)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
            raise WireError(Reason.WRONG_TYPE, quoted(str(error))) from None
        if not finite:  # msgspec writes NaN as null, which would say that the value is missing
            raise WireError(Reason.NOT_FINITE, "a number is NaN or infinite; a missing value is null")
        self.decode(data)
        return data

    def _explain(self, data: bytes) -> NoReturn:
        """Find the reason why `data` is no message: the slow path, in plain Python."""
        found = _load(data)
        if not isinstance(found, dict):
            raise WireError(Reason.WRONG_TYPE, f"expected an object, got {_json_type(found)}")
        version = found.get("v", WIRE_VERSION)
        if type(version) is not int:
            raise WireError(Reason.WRONG_TYPE, f"v must be an int, got {_json_type(version)}")
        if version != WIRE_VERSION:
            raise WireError(Reason.UNKNOWN_VERSION, f"v is {quoted(str(version))}, this reads {WIRE_VERSION}")
        names = [field.encode_name for field in self._fields]
        missing = [
            field.encode_name for field in self._fields if field.required and field.encode_name not in found
        ]
        if missing:
            raise WireError(Reason.MISSING_FIELD, missing[0])
        unknown = sorted(found.keys() - set(names))
        if unknown:
            raise WireError(Reason.UNKNOWN_FIELD, quoted(unknown[0]))
        for field in self._fields:
            if field.encode_name in found:
                _explain_field(field, found[field.encode_name])
        raise WireError(Reason.MALFORMED, "not JSON in UTF-8")


def check_text(name: str, value: str) -> None:
    """Raise unless `value` can be a key, a column and a label."""
    if not 0 < len(value) <= MAX_TEXT_CHARS:
        raise WireError(
            Reason.OUT_OF_RANGE, f"{name} has {len(value)} characters, needs 1 to {MAX_TEXT_CHARS}"
        )
    if "\0" in value:
        raise WireError(Reason.OUT_OF_RANGE, f"{name} has a NUL character, which PostgreSQL cannot hold")


def check_int(name: str, value: int, low: int, high: int) -> None:
    """Raise unless low <= value <= high."""
    if not low <= value <= high:
        raise WireError(Reason.OUT_OF_RANGE, f"{name} must lie in {low}..{high}")


def check_ts(name: str, value: int) -> None:
    """Raise unless `value` is a time that the grids can hold."""
    check_int(name, value, -MAX_TS_MS, MAX_TS_MS)


def quoted(text: str) -> str:
    """Return foreign text cut short and in printable ASCII."""
    return ascii(text[:_QUOTED_CHARS])


def _load(data: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """Parse strictly, in plain Python; raises with the reason."""
    try:
        return json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_not_finite,
            parse_float=_double,
            parse_int=_int,
        )
    except WireError as error:
        raise error from None
    except (ValueError, RecursionError):
        raise WireError(Reason.MALFORMED, "not JSON in UTF-8") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise WireError(Reason.DUPLICATE_KEY, quoted(key))
        found[key] = value
    return found


def _not_finite(text: str) -> NoReturn:
    raise WireError(Reason.NOT_FINITE, f"{text} is not JSON; a missing value is null")


def _int(text: str) -> int:
    _double(text)  # what does not fit into a double fits no field
    return int(text)


def _double(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise WireError(Reason.OUT_OF_RANGE, f"{quoted(text)} does not fit into a double")
    return value


def _explain_field(field: msgspec.structs.FieldInfo, value: object) -> None:
    try:
        msgspec.convert(value, field.type)
    except msgspec.MsgspecError as error:
        raise WireError(Reason.WRONG_TYPE, f"{field.encode_name}: {quoted(str(error))}") from None


def _json_type(value: object) -> str:
    names = {
        bool: "a bool",
        int: "an int",
        float: "a float",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "null")
