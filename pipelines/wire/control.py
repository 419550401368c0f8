"""Control v1: the champion of a name changed; keyed by `name`.

It carries no location and no digest: a service resolves those in the store, which is the truth.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipelines.wire.message import MAX_INT, WireCodec, check_int, check_text

# Two texts of 256 characters, escaped as 12 bytes each in the worst case.
MAX_CONTROL_BYTES = 8 << 10


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Which version of a model to serve from now on."""

    name: str
    version: str
    row_version: int
    """Of the champion's row: an older one than that in use is ignored."""
    v: int


def decode_control(data: bytes | None) -> Control:
    """Return the control message in `data`; `WireError` with its reason for anything else."""
    return _CODEC.decode(data)


def encode_control(control: Control) -> bytes:
    """Return `control` as JSON; `WireError` for what `decode_control` would refuse."""
    return _CODEC.encode(control)


def _check(control: Control) -> None:
    check_text("name", control.name)
    check_text("version", control.version)
    check_int("row_version", control.row_version, 0, MAX_INT)


def _n_pairs(control: Control) -> int:
    return 4


def _numbers(control: Control) -> Iterable[float]:
    return ()


_CODEC = WireCodec(Control, MAX_CONTROL_BYTES, _check, _n_pairs, _numbers)
