"""Blocks on top of contiguous rows: what the engine names by block lies in the row of the slot that wrote it.

The content of a block has one home: a place in the row of a slot, or the store of blocks. When a slot goes
on to other blocks, those that live in its row move to the store first; what it begins with, it copies from
where that lives. So a shared beginning costs a copy, and every block table can be stepped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decoding.config import ModelConfig
from decoding.ort.buckets import Buckets, row_length
from decoding.step import F32
from forecast.types import I32, I64, U8

_STORE = -1


@dataclass(slots=True, eq=False)
class Held:
    """What the row of a slot holds, block by block; -1 is nothing."""

    blocks: I64
    versions: I64


class Slots:
    """The KV cache of the graph.

    Parameters
    ----------
    n_blocks, block_size
        As the engine counts them.
    """

    def __init__(self, config: ModelConfig, n_blocks: int, block_size: int) -> None:
        self.buckets = Buckets(config)
        self.block_size = block_size
        # Pages of the store take memory only when a block moves there.
        shape = n_blocks, config.n_layers * 2, config.n_kv_heads, block_size, config.head_size
        self._store = np.zeros(shape, np.float32)
        self._home = np.full((n_blocks, 2), _STORE)
        self._version = np.zeros(n_blocks, np.int64)
        self._held: dict[int, Held] = {}

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return int(self._store[0].nbytes)

    def bring(self, slot: int, table: I32, start: int, stop: int) -> None:
        """Make ready the row of a slot: it holds the places before `start`, and will be written up to `stop`.

        Parameters
        ----------
        table
            (max_blocks,) of the slot.
        """
        n = -(-stop // self.block_size)
        held, blocks = self._held_by(slot, n), table[:n]
        self._fit(slot, stop, n)
        fresh = (held.blocks[:n] == blocks) & (held.versions[:n] == self._version[blocks])
        if not fresh.all():
            stale = np.flatnonzero(~fresh).tolist()
            for index in stale:
                self._let_go(slot, index)
            for index in stale:
                if index * self.block_size < start:
                    self._copy_in(slot, index, int(blocks[index]))
        self.buckets.fill(slot, n * self.block_size)
        first = start // self.block_size
        written = blocks[first:]
        self._version[written] += 1
        self._home[written, 0] = slot
        self._home[written, 1] = range(first, n)
        held.blocks[first:n] = written
        held.versions[first:n] = self._version[written]

    def read(self, block: int) -> F32:
        """(layers x 2, heads, block_size, head size) of a block: a view."""
        slot, index = self._home[block].tolist()
        return self._store[block] if slot == _STORE else self._in_row(slot, index)

    def write(self, block: int, content: F32) -> None:
        """Put content of that shape into a block."""
        self._store[block] = content
        self._home[block] = _STORE
        self._version[block] += 1

    def as_bytes(self, block: int) -> U8:
        """Return a copy of a block's bytes."""
        return np.ascontiguousarray(self.read(block)).reshape(-1).view(np.uint8).copy()

    def from_bytes(self, block: int, content: U8) -> None:
        """Put back what `as_bytes` gave."""
        self.write(block, content.view(np.float32).reshape(self._store.shape[1:]))

    def _held_by(self, slot: int, n: int) -> Held:
        held = self._held.get(slot)
        if held is None:
            held = self._held[slot] = Held(np.full(n, _STORE), np.zeros(n, np.int64))
        if len(held.blocks) < n:
            more = max(n, 2 * len(held.blocks)) - len(held.blocks)
            held.blocks = np.concatenate([held.blocks, np.full(more, _STORE)])
            held.versions = np.concatenate([held.versions, np.zeros(more, np.int64)])
        return held

    def _fit(self, slot: int, stop: int, n: int) -> None:
        """See that the row is neither too short, nor longer than its sequence needs."""
        length, needed = self.buckets.length(slot), row_length(n * self.block_size)
        if length == needed:
            return
        if needed < length:
            for index in range(n, len(self._held[slot].blocks)):
                self._let_go(slot, index)
        self.buckets.move(slot, needed, min(length, n * self.block_size))

    def _let_go(self, slot: int, index: int) -> None:
        """Forget what the row holds there; what lives nowhere else goes to the store."""
        held = self._held[slot]
        block = int(held.blocks[index])
        if block != _STORE and self._home[block].tolist() == [slot, index]:
            self._store[block] = self._in_row(slot, index)
            self._home[block] = _STORE
        held.blocks[index] = _STORE

    def _copy_in(self, slot: int, index: int, block: int) -> None:
        self._in_row(slot, index)[:] = self.read(block)
        held = self._held[slot]
        held.blocks[index], held.versions[index] = block, self._version[block]

    def _in_row(self, slot: int, index: int) -> F32:
        start = index * self.block_size
        view: F32 = self.buckets.row(slot)[:, :, start : start + self.block_size]
        return view
