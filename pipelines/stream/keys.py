"""A growing table of ids, over `kernels/key_table`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast.types import I64, U8
from pipelines.kernels import key_table
from pipelines.kernels.key_table import Keys

_FEW = 16


def frozen(data: U8) -> U8:
    """Return a view that cannot be written, as bytes of a network are: kernels are compiled for one kind."""
    view = data.view()
    view.flags.writeable = False
    return view


def _empty(room: int, size: int) -> Keys:
    # At most half of the places are taken, so that a probe ends after one or two.
    places = 1 << max(5, (2 * room).bit_length())
    return Keys(
        np.full(places, key_table.NONE, dtype=np.int64),
        np.zeros(size, dtype=np.uint8),
        np.zeros(1 + room, dtype=np.int64),
    )


@dataclass(slots=True)
class KeyTable:
    """Ids, numbered in the order in which they came."""

    keys: Keys
    count: int = 0

    @staticmethod
    def empty() -> KeyTable:
        """Return a table without ids."""
        return KeyTable(_empty(_FEW, 16 * _FEW))

    @staticmethod
    def of(ids: Sequence[bytes]) -> KeyTable:
        """Return a table of ids that differ, numbered from 0."""
        ends = np.cumsum([0, *map(len, ids)])
        table = KeyTable.empty()
        table.add(np.frombuffer(b"".join(ids) or b"\0", dtype=np.uint8), ends[:-1], ends[1:])
        return table

    def find(self, data: U8, firsts: I64, lasts: I64) -> I64:
        """(n,) numbers of the ids ``data[firsts[i]:lasts[i]]``, -1 where there is none."""
        out = np.empty(len(firsts), dtype=np.int64)
        key_table.find_keys(self.keys, frozen(data), firsts, lasts, out)
        return out

    def add(self, data: U8, firsts: I64, lasts: I64) -> I64:
        """(n,) numbers of the ids, new ones for those that were not there; -1 where an id begins before 0."""
        out, data = np.empty(len(firsts), dtype=np.int64), frozen(data)
        missing, size = key_table.find_keys(self.keys, data, firsts, lasts, out)
        if missing:
            self._make_room(missing, size)
            self.count = key_table.add_keys(self.keys, self.count, data, firsts, lasts, out)
        return out

    def id(self, number: int) -> bytes:
        """Return an id."""
        ends = self.keys.ends
        return self.keys.text[ends[number] : ends[number + 1]].tobytes()

    def _make_room(self, more: int, size: int) -> None:
        text, ends = self.keys.text, self.keys.ends
        used = int(ends[self.count])
        if self.count + more < len(ends) and used + size <= len(text):
            return
        room = max(2 * (len(ends) - 1), self.count + more)
        keys = _empty(room, max(2 * len(text), used + size))
        keys.text[:used] = text[:used]
        keys.ends[: self.count + 1] = ends[: self.count + 1]
        key_table.place_again(keys, self.count)
        self.keys = keys
