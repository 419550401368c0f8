"""Avro by fastavro: what others wrote, resolved to the schemas of the platform."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from pipelines.errors import Reason, SettingsError, WireError
from pipelines.registry_format.mapping import Kind

_SCHEMAS: Final = Path(__file__).parent / "schemas"


class AvroCodec:
    """One schema.

    Parameters
    ----------
    file
        Schema that messages are written with; None: that of the platform. Logical types in it have no effect:
        a time is a number of milliseconds.

    Raises
    ------
    SettingsError
        The file holds no schema.
    """

    def __init__(self, kind: Kind, file: Path | None = None) -> None:
        own = _SCHEMAS / f"{kind.value}.avsc"
        self._reads = _parse(own)
        self._wrote = self._reads if file is None else _parse(file)

    def decode(self, payload: bytes) -> dict[str, Any]:
        """Return the fields of a message; `WireError` for anything that is none."""
        source = BytesIO(payload)
        try:
            found = schemaless_reader(source, self._wrote, self._reads)
        except Exception as error:  # of many kinds, by what is wrong with the bytes
            raise WireError(
                Reason.MALFORMED, f"not Avro of its schema: {type(error).__name__} {error!s:.80}"
            ) from None
        if source.tell() != len(payload):
            raise WireError(Reason.MALFORMED, f"{len(payload) - source.tell()} bytes after the message")
        if not isinstance(found, dict):
            raise WireError(Reason.WRONG_TYPE, f"expected a record, got {type(found).__name__}")
        return found

    def encode(self, fields: dict[str, Any]) -> bytes:
        """Return a message; `SettingsError` where the schema has not the fields of the platform."""
        out = BytesIO()
        try:
            schemaless_writer(out, self._wrote, fields)
        except Exception as error:  # of many kinds, by what does not go with the schema
            raise SettingsError(
                f"the Avro schema cannot hold a message of the platform: {error!s:.80}"
            ) from None
        return out.getvalue()


def _parse(path: Path) -> Any:  # noqa: ANN401  # a schema, as fastavro keeps it
    try:
        return parse_schema(_plain(json.loads(path.read_text(encoding="utf-8"))))
    except Exception as error:  # no file, no JSON, or one of fastavro's for what is no schema
        raise SettingsError(f"{path} holds no Avro schema: {error}") from None


def _plain(schema: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a schema without logical types: a time stays a number."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if key != "logicalType"}
    return [_plain(one) for one in schema] if isinstance(schema, list) else schema
