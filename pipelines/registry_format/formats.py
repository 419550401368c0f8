"""Messages of a topic that may be JSON or in registry wire format, as the messages of `pipelines.wire`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from pipelines.errors import Reason, SettingsError, WireError
from pipelines.registry_format.envelope import frame, is_framed, put_indexes, take_indexes, unframe
from pipelines.registry_format.mapping import Encoding, Kind, Schema
from pipelines.wire import (
    WIRE_VERSION,
    Forecast,
    Tick,
    decode_forecast,
    decode_tick,
    encode_forecast,
    encode_tick,
)
from pipelines.wire.forecast import MAX_FORECAST_BYTES
from pipelines.wire.message import Message, quoted
from pipelines.wire.tick import MAX_TICK_BYTES

M = TypeVar("M", bound=Message)

_FIRST_OF_FILE: Final = (0,)


class Codec(Protocol):
    """Fields of a message as bytes, and back."""

    def decode(self, payload: bytes) -> dict[str, Any]:
        """Return the fields; `WireError` for anything that is no message."""
        ...

    def encode(self, fields: dict[str, Any]) -> bytes:
        """Return a message."""
        ...


class _Format(Generic[M]):
    """What ticks and forecasts share."""

    def __init__(
        self,
        schemas: Mapping[int, Schema],
        kind: Kind,
        struct: type[M],
        max_bytes: int,
        from_json: Callable[[bytes | None], M],
        to_json: Callable[[M], bytes],
    ) -> None:
        self._codecs = {
            number: (schema.encoding, _codec(schema))
            for number, schema in schemas.items()
            if schema.kind is kind
        }
        self._kind, self._struct, self._max_bytes = kind, struct, max_bytes
        self._from_json, self._to_json = from_json, to_json

    def decode(self, data: bytes | None) -> M:
        """Return the message in `data`, JSON or framed; `WireError` with its reason for anything else."""
        if not is_framed(data) or data is None:
            return self._from_json(data)
        if len(data) > self._max_bytes:
            raise WireError(Reason.TOO_LARGE, f"{len(data)} bytes, at most {self._max_bytes}")
        number, payload = unframe(data)
        if number not in self._codecs:
            raise WireError(
                Reason.UNKNOWN_VERSION,
                f"schema id {number} is not that of a {self._kind.value} in the settings",
            )
        encoding, codec = self._codecs[number]
        if encoding is Encoding.PROTOBUF:
            indexes, payload = take_indexes(payload)
            if indexes != _FIRST_OF_FILE:
                raise WireError(
                    Reason.WRONG_TYPE, f"message {indexes} of its file, expected {_FIRST_OF_FILE}"
                )
        return self._checked(codec.decode(payload))

    def encode(self, message: M, schema_id: int) -> bytes:
        """Return a message in the format of a schema id; `WireError` for what `decode` would refuse.

        Raises
        ------
        SettingsError
            The id stands for nothing of this kind.
        """
        if schema_id not in self._codecs:
            raise SettingsError(f"schema id {schema_id} is not that of a {self._kind.value} in the settings")
        self._to_json(message)  # refuses what must not be sent
        encoding, codec = self._codecs[schema_id]
        payload = codec.encode(msgspec.to_builtins(message) | _defaults(message))
        if encoding is Encoding.PROTOBUF:
            payload = put_indexes(_FIRST_OF_FILE) + payload
        data = frame(schema_id, payload)
        if len(data) > self._max_bytes:
            raise WireError(Reason.TOO_LARGE, f"{len(data)} bytes, at most {self._max_bytes}")
        return data

    def _checked(self, fields: dict[str, Any]) -> M:
        if fields.get("v") != WIRE_VERSION:
            raise WireError(Reason.UNKNOWN_VERSION, f"v is {fields.get('v')!r}, this reads {WIRE_VERSION}")
        try:
            message = msgspec.convert(fields, self._struct)
        except msgspec.MsgspecError as error:
            raise WireError(Reason.WRONG_TYPE, quoted(str(error))) from None
        self._to_json(message)  # the same limits as for JSON
        return message


class TickFormat(_Format[Tick]):
    """Ticks.

    Parameters
    ----------
    schemas
        What ids stand for; those of forecasts are left aside.
    """

    def __init__(self, schemas: Mapping[int, Schema]) -> None:
        super().__init__(schemas, Kind.TICK, Tick, MAX_TICK_BYTES, decode_tick, encode_tick)


class ForecastFormat(_Format[Forecast]):
    """Forecasts.

    Parameters
    ----------
    schemas
        What ids stand for; those of ticks are left aside.
    """

    def __init__(self, schemas: Mapping[int, Schema]) -> None:
        super().__init__(
            schemas, Kind.FORECAST, Forecast, MAX_FORECAST_BYTES, decode_forecast, encode_forecast
        )


def _defaults(message: Message) -> dict[str, Any]:
    """Return what JSON leaves out."""
    return {"exog": dict(message.exog)} if isinstance(message, Tick) else {}


def _codec(schema: Schema) -> Codec:
    if schema.encoding is Encoding.AVRO:
        from pipelines.registry_format.avro import AvroCodec

        return AvroCodec(schema.kind, schema.file)
    from pipelines.registry_format.protobuf import ProtobufCodec

    return ProtobufCodec(schema.kind)
