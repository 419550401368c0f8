"""Protobuf: the messages of `schemas/*.proto`, described here too, so that no compiler is needed."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from pipelines.errors import Reason, WireError
from pipelines.registry_format.mapping import Kind

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "forecast.v1"
_TYPES: Final = {
    "string": _Field.TYPE_STRING, "int32": _Field.TYPE_INT32, "int64": _Field.TYPE_INT64,
    "double": _Field.TYPE_DOUBLE,
}  # fmt: skip

# Name, type and kind of every field, numbered from 1: "one" may be absent, "many" is a list.
Fields = tuple[tuple[str, str, str], ...]
TICK: Final[Fields] = (
    ("series_id", "string", "one"), ("ts_ms", "int64", "one"), ("value", "double", "one"),
    ("exog", "Tick.ExogEntry", "many"), ("v", "int32", "one"),
)  # fmt: skip
ENTRY: Final[Fields] = (("key", "string", "plain"), ("value", "double", "plain"))
PATH: Final[Fields] = (("values", "double", "many"),)
SOURCE: Final[Fields] = (
    ("topic", "string", "one"),
    ("partition", "int32", "one"),
    ("offset", "int64", "one"),
)
FORECAST: Final[Fields] = (
    ("series_id", "string", "one"), ("ts_ms", "int64", "one"), ("model", "string", "one"),
    ("version", "string", "one"), ("dt_ms", "int64", "one"), ("mean", "double", "many"),
    ("level", "double", "many"), ("lo", "Forecast.Path", "many"), ("hi", "Forecast.Path", "many"),
    ("z", "double", "one"), ("imputed", "int64", "one"), ("source", "Forecast.Source", "one"),
    ("v", "int32", "one"),
)  # fmt: skip
# Absent where the value is missing.
_MAY_BE_ABSENT: Final = {Kind.TICK: "value", Kind.FORECAST: "z"}


class ProtobufCodec:
    """One message."""

    def __init__(self, kind: Kind) -> None:
        pool = descriptor_pool.DescriptorPool()
        pool.Add(_file(kind))
        name = kind.value.capitalize()
        self._class: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        self._absent = _MAY_BE_ABSENT[kind]

    def decode(self, payload: bytes) -> dict[str, Any]:
        """Return the fields of a message; `WireError` for anything that is none, or has unknown fields."""
        message = self._class()
        try:
            message.ParseFromString(payload)
        except DecodeError:
            raise WireError(Reason.MALFORMED, "not Protobuf of its message") from None
        return self._fields(message)

    def encode(self, fields: dict[str, Any]) -> bytes:
        """Return a message."""
        message = self._class()
        for name, value in fields.items():
            self._put(message, name, value)
        data: bytes = message.SerializeToString(deterministic=True)
        return data

    def _put(self, message: Any, name: str, value: Any) -> None:  # noqa: ANN401  # a class made at run time
        if value is None:
            return
        if name in ("lo", "hi"):
            for row in value:
                getattr(message, name).add(values=row)
        elif name == "source":
            for part, what in value.items():
                setattr(message.source, part, what)
        elif isinstance(value, dict):
            getattr(message, name).update(value)
        elif isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)

    def _fields(self, message: Any) -> dict[str, Any]:  # noqa: ANN401  # a class made at run time
        if len(UnknownFieldSet(message)):
            number = UnknownFieldSet(message)[0].field_number
            raise WireError(Reason.UNKNOWN_FIELD, f"number {number}")
        found: dict[str, Any] = {}
        for field in message.DESCRIPTOR.fields:
            name, value = field.name, getattr(message, field.name)
            if field.has_presence and not message.HasField(name):
                if name != self._absent:
                    raise WireError(Reason.MISSING_FIELD, name)
                found[name] = None
            elif name in ("lo", "hi"):
                found[name] = [self._fields(row)["values"] for row in value]
            elif name == "source":
                found[name] = self._fields(value)
            elif name == "exog":
                found[name] = dict(value)
            else:
                found[name] = value if field.has_presence else list(value)
        return found


def _file(kind: Kind) -> Any:  # noqa: ANN401  # a FileDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name=f"forecast/v1/{kind.value}.proto", package=_PACKAGE, syntax="proto3"
    )
    message = file.message_type.add(name=kind.value.capitalize())
    if kind is Kind.TICK:
        _describe(message, TICK)
        entry = message.nested_type.add(name="ExogEntry")
        entry.options.map_entry = True
        _describe(entry, ENTRY)
    else:
        _describe(message, FORECAST)
        _describe(message.nested_type.add(name="Path"), PATH)
        _describe(message.nested_type.add(name="Source"), SOURCE)
    return file


def _describe(message: Any, fields: Fields) -> None:  # noqa: ANN401  # a DescriptorProto
    for number, (name, kind, how) in enumerate(fields, 1):
        many = how == "many"
        label = _Field.LABEL_REPEATED if many else _Field.LABEL_OPTIONAL
        field = message.field.add(name=name, number=number, label=label)
        if kind in _TYPES:
            field.type = _TYPES[kind]
        else:
            field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
        if how == "one":  # what says in proto3 whether a field was there
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{name}")
