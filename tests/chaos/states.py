"""State topics compared: the last record of every key."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.chaos.records import Record

# Of the floats in a state, relative: restored and uninterrupted states add in the same order, so they
# should be the same bytes; this is what the issue allows.
_TOLERANCE = 1e-9


@dataclass(slots=True)
class Compared:
    """What two topics have."""

    keys: int = 0
    other_bytes: int = 0
    """Keys whose values are equal within the tolerance, but not byte for byte."""
    faults: list[str] = field(default_factory=list)


def last_values(records: list[Record]) -> dict[tuple[int, bytes | None], bytes | None]:
    """Return the last value of every key, by partition."""
    return {(one.partition, one.key): one.value for one in records}


def compare_states(mine: list[Record], clean: list[Record]) -> Compared:
    """Compare what a topic says in the end with what that of an uninterrupted run says."""
    have, want = last_values(mine), last_values(clean)
    found = Compared(len(want))
    found.faults += [f"{key!r} has no state" for key in want.keys() - have.keys()]
    found.faults += [f"{key!r} has a state that nobody asked for" for key in have.keys() - want.keys()]
    for key in want.keys() & have.keys():
        if have[key] == want[key]:
            continue
        if close(have[key], want[key]):
            found.other_bytes += 1
        else:
            found.faults.append(f"{key!r}: {_where(have[key], want[key])}")
    return found


def close(a: bytes | None, b: bytes | None) -> bool:
    """Return whether two states are of one length and differ only in floats that are nearly equal.

    Fields are eight bytes wide; where they differ, both must be finite floats, and near. Integers read as
    floats are denormal, so two different ones are never near.
    """
    if a is None or b is None or len(a) != len(b) or a[len(a) & ~7 :] != b[len(b) & ~7 :]:
        return False
    x, y = (np.frombuffer(one[: len(one) & ~7], dtype="<f8") for one in (a, b))
    differs = x.view(np.int64) != y.view(np.int64)
    x, y = x[differs], y[differs]
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return False
    normal = np.minimum(np.abs(x), np.abs(y)) >= np.finfo(float).tiny
    return bool((normal & (np.abs(x - y) <= _TOLERANCE * np.maximum(np.abs(x), np.abs(y)))).all())


def _where(a: bytes | None, b: bytes | None) -> str:
    if a is None or b is None or len(a) != len(b):
        lengths = [None if one is None else len(one) for one in (a, b)]
        return f"lengths {lengths}"
    at = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
    return f"bytes differ from {at} of {len(a)} on"
