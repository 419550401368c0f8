"""Which schema an id stands for: said by the settings, once, before anything is read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from forecast.errors import nearest
from pipelines.errors import SettingsError

_MOST_ID: Final = 2**32 - 1
_KEYS: Final = ("encoding", "kind", "file")


class Encoding(StrEnum):
    """How a message is written."""

    AVRO = "avro"
    PROTOBUF = "protobuf"


class Kind(StrEnum):
    """What a message is."""

    TICK = "tick"
    FORECAST = "forecast"


@dataclass(frozen=True, slots=True)
class Schema:
    """What an id stands for.

    Parameters
    ----------
    file
        Of an Avro schema that others write with, and that resolves to ours by Avro's rules; None: ours. Of
        Protobuf there is ours only.
    """

    encoding: Encoding
    kind: Kind
    file: Path | None = None

    def __post_init__(self) -> None:
        if self.file is not None and self.encoding is Encoding.PROTOBUF:
            raise SettingsError("a protobuf schema is that of the platform: leave out file")


def load_schemas(path: str | Path) -> dict[int, Schema]:
    """Read a TOML file with a table an id.

    ::

        [7]
        encoding = "avro"
        kind = "tick"
        file = "their-tick.avsc"

    Raises
    ------
    SettingsError
        It cannot be read, or says what cannot be; names the id and the key.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    return {_id(text, path): _schema(text, table, Path(path)) for text, table in found.items()}


def _id(text: str, path: str | Path) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _MOST_ID):
        raise SettingsError(f"{path}: {text!r} is no schema id: a number from 0 to {_MOST_ID}")
    return int(text)


def _schema(text: str, table: object, path: Path) -> Schema:
    if not isinstance(table, Mapping):
        raise SettingsError(f"{path}: [{text}] must be a table with {', '.join(_KEYS)}")
    for key in table:
        if key not in _KEYS:
            raise SettingsError(f"{path}: [{text}] has an unknown key {key!r}{nearest(key, _KEYS)}")
    file = table.get("file")
    if file is not None and not isinstance(file, str):
        raise SettingsError(f"{path}: [{text}] file must be text, got {file!r}")
    encoding, kind = (_one_of(text, table, key, path) for key in ("encoding", "kind"))
    return Schema(Encoding(encoding), Kind(kind), None if file is None else path.parent / file)


def _one_of(text: str, table: Mapping[str, Any], key: str, path: Path) -> str:
    known = [one.value for one in (Encoding if key == "encoding" else Kind)]
    value = table.get(key)
    if value not in known:
        raise SettingsError(f"{path}: [{text}] {key} must be one of {', '.join(known)}, got {value!r}")
    return str(value)
