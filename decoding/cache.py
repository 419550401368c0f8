"""The KV cache: blocks that sequences share where their tokens agree.

A tree of blocks holds what was computed: a path from its root spells token ids, a node owns the block with
the keys and values of its ids. A sequence walks the tree as far as its tokens agree, then goes on in blocks
of its own, which join the tree when they are full, or when the sequence ends.

Blocks that only the tree holds are cold. The coldest makes room for new ones, and goes to a file where there
is one. Children are always colder than their parents, because a sequence holds a whole path and lets its end
go first: so what is evicted never has a child in memory, and what is forgotten never has a child at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Sequence as Ids
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from decoding.blocks import BlockError, BlockPool
from decoding.spill import SpillFile

I32 = npt.NDArray[np.int32]


class BlockStore(Protocol):
    """What the cache needs of a model: the memory behind the blocks."""

    @property
    def block_size(self) -> int:
        """Tokens a block holds."""
        ...

    @property
    def n_blocks(self) -> int:
        """Blocks there are."""
        ...

    def copy_block(self, source: int, target: int) -> None:
        """Copy keys and values of a whole block."""
        ...

    def read_block(self, block: int) -> npt.NDArray[np.uint8]:
        """Return the bytes of a block."""
        ...

    def write_block(self, block: int, content: npt.NDArray[np.uint8]) -> None:
        """Put back what `read_block` gave."""
        ...


@dataclass(slots=True, eq=False)
class Node:
    """A block of the tree; in memory (`block`), or in the file (`room`)."""

    ids: tuple[int, ...]
    parent: Node | None
    block: int = -1
    room: int = -1
    children: dict[tuple[int, ...], Node] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Sequence:
    """The blocks of one request.

    Parameters
    ----------
    row
        (max_blocks,) of the block table, kept equal to `blocks`.
    """

    row: I32
    ids: list[int] = field(default_factory=list)
    """Tokens whose keys and values are there."""
    blocks: list[int] = field(default_factory=list)
    path: list[Node] = field(default_factory=list)
    """Nodes of the first blocks: those that are full."""

    def __len__(self) -> int:
        return len(self.ids)

    def put(self, index: int, block: int) -> None:
        """Set one block, or append it."""
        if index == len(self.blocks):
            self.blocks.append(block)
        else:
            self.blocks[index] = block
        self.row[index] = block


@dataclass(slots=True)
class CacheStats:
    """What happened since the start, in tokens or blocks."""

    hit_tokens: int = 0
    evicted_blocks: int = 0
    spilled_blocks: int = 0
    restored_blocks: int = 0
    copied_blocks: int = 0


class KVCache:
    """Hands blocks to sequences, finds what is already there, evicts what is cold.

    Parameters
    ----------
    store
        The memory behind the blocks.
    spill
        Where cold blocks go; None: they are forgotten.
    share
        Whether sequences use what others computed.
    """

    def __init__(self, store: BlockStore, spill: SpillFile | None = None, *, share: bool = True) -> None:
        self.store = store
        self.block_size = store.block_size
        self.pool = BlockPool(store.n_blocks)
        self.stats = CacheStats()
        self._root = Node((), None)
        self._node_of: dict[int, Node] = {}
        self._cold: OrderedDict[Node, None] = OrderedDict()
        self._spilled: OrderedDict[Node, None] = OrderedDict()
        self._spill = spill
        self._share = share

    @property
    def _file(self) -> SpillFile:
        if self._spill is None:
            raise BlockError("there is no file of cold blocks")
        return self._spill

    @property
    def n_available(self) -> int:
        """Blocks that can be had now, free or cold."""
        return self.pool.n_free + len(self._cold)

    def blocks_for(self, n_tokens: int) -> int:
        """Blocks that so many tokens fill."""
        return -(-n_tokens // self.block_size)

    def needed(self, ids: Ids[int]) -> int:
        """How many of the available blocks a sequence of these tokens would take."""
        node, held = self._root, 0
        for start in range(0, len(ids) - self.block_size, self.block_size):
            child = node.children.get(tuple(ids[start : start + self.block_size]))
            if child is None or child.block < 0:
                break
            node, held = child, held + (child not in self._cold)
        return self.blocks_for(len(ids)) - held

    def open(self, ids: Ids[int], row: I32) -> Sequence:
        """Begin a sequence with the longest beginning of `ids` that is there.

        The last token is always left to compute: its logits are wanted.
        """
        sequence = Sequence(row)
        if self._share:
            try:
                self._take_over(ids, sequence)
            except BaseException:
                self.close(sequence)
                raise
            self.stats.hit_tokens += len(sequence)
        return sequence

    def _take_over(self, ids: Ids[int], sequence: Sequence) -> None:
        node, end, size = self._root, len(ids) - 1, self.block_size
        while len(sequence) + size <= end:
            start = len(sequence)
            child = node.children.get(tuple(ids[start : start + size]))
            if child is None or not self._acquire(child):
                break
            sequence.put(len(sequence.path), child.block)
            sequence.path.append(child)
            sequence.ids.extend(child.ids)
            node = child
        self._copy_partly(node, ids[len(sequence) : end], sequence)

    def room(self, sequence: Sequence) -> int:
        """How many tokens more the sequence could get."""
        space = len(sequence.blocks) * self.block_size - len(sequence)
        return space + (self.n_available - self._must_copy(sequence)) * self.block_size

    def reserve(self, sequence: Sequence, n_tokens: int) -> bool:
        """Give the sequence blocks for so many tokens more; False, and no change, if there are not enough."""
        if n_tokens > self.room(sequence):
            return False
        if n_tokens and self._must_copy(sequence):
            self._own_tail(sequence)
        while len(sequence.blocks) < self.blocks_for(len(sequence) + n_tokens):
            sequence.put(len(sequence.blocks), self._take())
        return True

    def advance(self, sequence: Sequence, ids: Ids[int]) -> None:
        """Note that keys and values of these tokens were written, in blocks reserved before."""
        sequence.ids.extend(ids)
        size = self.block_size
        while self._share and (len(sequence.path) + 1) * size <= len(sequence):
            index = len(sequence.path)
            parent = sequence.path[-1] if index else self._root
            key = tuple(sequence.ids[index * size : (index + 1) * size])
            node = self._join(parent, key, sequence.blocks[index])
            sequence.put(index, node.block)
            sequence.path.append(node)

    def fork(self, sequence: Sequence, row: I32) -> Sequence:
        """Begin a second sequence with the same tokens in the same blocks; who writes first, copies."""
        twin = Sequence(row, list(sequence.ids), [], list(sequence.path))
        for index, block in enumerate(sequence.blocks):
            self.pool.share(block)
            twin.put(index, block)
        return twin

    def close(self, sequence: Sequence) -> None:
        """End a sequence; what it computed stays until it is evicted."""
        n_full = len(sequence.path)
        tail = tuple(sequence.ids[n_full * self.block_size :])
        if self._share and tail:
            parent = sequence.path[-1] if n_full else self._root
            if not any(key[: len(tail)] == tail for key in parent.children):
                parent.children[tail] = node = Node(tail, parent)
                self._own(node, sequence.blocks[n_full])
        for block in reversed(sequence.blocks):  # the end first: children are colder than parents
            self._release(block)
        sequence.ids, sequence.blocks, sequence.path = [], [], []

    def _acquire(self, node: Node) -> bool:
        """Hold a node's block, read back from the file if it must be; False where there is no room."""
        if node.block < 0:
            block = self._find(keep=node)
            if block is None:
                return False
            self._fill(block, partial(self._read, node, block))
            self._forget_room(node)
            self._own(node, block)
            self.stats.restored_blocks += 1
            return True
        self._cold.pop(node, None)
        self.pool.share(node.block)
        return True

    def _own(self, node: Node, block: int) -> None:
        """Let the tree hold a block too, that the caller holds."""
        node.block = block
        self._node_of[block] = node
        self.pool.share(block)

    def _release(self, block: int) -> None:
        """Let a block go; if only the tree holds it then, it is the warmest of the cold."""
        node = self._node_of.get(block)
        if self.pool.release(block) == 1 and node is not None:
            self._cold[node] = None

    def _fill(self, block: int, write: Callable[[], None]) -> None:
        """Write to a block just taken; if that fails, give it back."""
        try:
            write()
        except BaseException:
            self.pool.release(block)
            raise

    def _read(self, node: Node, block: int) -> None:
        self.store.write_block(block, self._file.load(node.room))

    def _forget_room(self, node: Node) -> None:
        self._file.drop(node.room)
        node.room = -1
        del self._spilled[node]

    def _copy_partly(self, parent: Node, ids: Ids[int], sequence: Sequence) -> None:
        """Take over the longest beginning of `ids` that some child of `parent` holds, as a copy."""
        if not ids:
            return
        source, length = None, 0
        for child in parent.children.values():
            agreed = _agreement(child.ids, ids)
            if agreed > length:
                source, length = child, agreed
        if source is None:
            return
        in_memory = source.block >= 0
        if in_memory:
            self._acquire(source)  # or making room for the copy might evict it
        try:
            block = self._find(keep=source)
            if block is not None:
                copy = partial(self.store.copy_block, source.block, block)
                self._fill(block, copy if in_memory else partial(self._read, source, block))
                self.stats.copied_blocks += 1
                sequence.put(len(sequence.blocks), block)
                sequence.ids.extend(ids[:length])
        finally:
            if in_memory:
                self._release(source.block)

    def _must_copy(self, sequence: Sequence) -> bool:
        """Whether the next token would be written to a block that another sequence holds too."""
        if len(sequence) == len(sequence.path) * self.block_size:
            return False
        return self.pool.users(sequence.blocks[len(sequence.path)]) > 1

    def _own_tail(self, sequence: Sequence) -> None:
        index = len(sequence.path)
        shared, block = sequence.blocks[index], self._take()
        self._fill(block, partial(self.store.copy_block, shared, block))
        self._release(shared)
        sequence.put(index, block)
        self.stats.copied_blocks += 1

    def _join(self, parent: Node, key: tuple[int, ...], block: int) -> Node:
        """Enter a full block of the caller into the tree; if it is there already, hold that one instead."""
        node = parent.children.get(key)
        if node is None:
            node = parent.children[key] = Node(key, parent)
            self._own(node, block)
        elif node.block < 0:
            self._forget_room(node)
            self._own(node, block)
        elif node.block != block:
            self._acquire(node)
            self._release(block)
        return node

    def _take(self) -> int:
        block = self._find()
        if block is None:
            raise BlockError("no block is left, although there was room")
        return block

    def _find(self, keep: Node | None = None) -> int | None:
        """Take a block, if need be that of the coldest node; the file goes on holding `keep`."""
        block = self.pool.take()
        if block is None and self._cold:
            coldest = next(iter(self._cold))
            self._evict(coldest, keep)
            del self._cold[coldest]
            block = self.pool.take()
        return block

    def _evict(self, node: Node, keep: Node | None) -> None:
        if self._spill is not None and self._make_room(keep):
            node.room = self._spill.store(self.store.read_block(node.block))
            self._spilled[node] = None
            self.stats.spilled_blocks += 1
        else:
            self._detach(node)
        self.stats.evicted_blocks += 1
        del self._node_of[node.block]
        self.pool.release(node.block)
        node.block = -1

    def _make_room(self, keep: Node | None) -> bool:
        """See that the file has a room, at the cost of the oldest there; False where that is `keep` alone."""
        if not self._file.n_free:
            oldest = next((node for node in self._spilled if node is not keep), None)
            if oldest is None:
                return False
            self._forget_room(oldest)
            self._detach(oldest)
        return True

    def _detach(self, node: Node) -> None:
        if node.parent is None or node.children:
            raise BlockError("a node of the tree goes before its children")
        del node.parent.children[node.ids]


def _agreement(left: Ids[int], right: Ids[int]) -> int:
    """How many tokens agree from the start."""
    n = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        n += 1
    return n
