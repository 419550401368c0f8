"""The cache under any order of events: nothing leaks, nothing is lost, every sequence reads what it wrote."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from decoding.blocks import BlockError, BlockPool
from decoding.cache import KVCache
from decoding.spill import SpillFile


class Memory:
    """Blocks whose places hold the hash of all tokens up to there: what keys and values depend on."""

    def __init__(self, n_blocks, block_size):
        self.n_blocks, self.block_size = n_blocks, block_size
        self.places = np.zeros((n_blocks, block_size), np.int64)

    @property
    def block_bytes(self):
        return self.places[0].nbytes

    def copy_block(self, source, target):
        assert source != target
        self.places[target] = self.places[source]

    def read_block(self, block):
        return self.places[block].view(np.uint8).copy()

    def write_block(self, block, content):
        self.places[block] = content.view(np.int64)


def mark(ids):
    return hash(tuple(ids)) or 1


def extend(cache, sequence, ids):
    """Do what a step does: reserve, write, advance."""
    if not cache.reserve(sequence, len(ids)):
        return False
    size, known = cache.block_size, list(sequence.ids)
    for token in ids:
        known.append(token)
        place = len(known) - 1
        cache.store.places[sequence.row[place // size], place % size] = mark(known)
    cache.advance(sequence, ids)
    return True


def walk(node):
    for child in node.children.values():
        yield child
        yield from walk(child)


TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=14)  # two tokens: beginnings often agree


class Cache(RuleBasedStateMachine):
    @initialize(
        n_blocks=st.integers(3, 9),
        size=st.integers(1, 4),
        rooms=st.integers(0, 5),
        share=st.sampled_from([1, 1, 0]),
    )
    def begin(self, n_blocks, size, rooms, share):
        memory = Memory(n_blocks, size)
        self.spill = SpillFile(memory.block_bytes, rooms) if rooms else None
        self.cache = KVCache(memory, self.spill, share=bool(share))
        self.sequences = []

    def row(self):
        return np.full(60, -1, np.int32)

    @rule(ids=TOKENS)
    def open(self, ids):
        most = self.cache.needed(ids)
        before = self.cache.n_available
        sequence = self.cache.open(ids, self.row())
        self.sequences.append(sequence)
        assert len(sequence) < len(ids)
        assert sequence.ids == ids[: len(sequence)]
        rest = ids[len(sequence) :]
        # What `needed` promised is enough.
        assert extend(self.cache, sequence, rest) or most > before

    @precondition(lambda self: self.sequences)
    @rule(data=st.data(), ids=TOKENS)
    def extend(self, data, ids):
        sequence = data.draw(st.sampled_from(self.sequences))
        room, before = self.cache.room(sequence), (list(sequence.ids), list(sequence.blocks))
        if len(sequence) + len(ids) > 60 * self.cache.block_size:
            return
        done = extend(self.cache, sequence, ids)
        assert done == (len(ids) <= room)
        assert done or before == (sequence.ids, sequence.blocks)

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def fork(self, data):
        sequence = data.draw(st.sampled_from(self.sequences))
        self.sequences.append(self.cache.fork(sequence, self.row()))

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def close(self, data):
        sequence = data.draw(st.sampled_from(self.sequences))
        self.sequences.remove(sequence)
        self.cache.close(sequence)

    @invariant()
    def every_sequence_reads_what_was_written(self):
        for sequence in getattr(self, "sequences", []):
            size = self.cache.block_size
            assert sequence.row[: len(sequence.blocks)].tolist() == sequence.blocks
            read = self.cache.store.places[sequence.blocks].reshape(-1)[: len(sequence)]
            assert read.tolist() == [mark(sequence.ids[: i + 1]) for i in range(len(sequence))]
            assert len(sequence.blocks) >= self.cache.blocks_for(len(sequence))
            assert len(sequence.path) in (len(sequence) // size, 0)

    @invariant()
    def every_block_is_counted_once_for_each_who_holds_it(self):
        if not hasattr(self, "cache"):
            return
        nodes = list(walk(self.cache._root))
        holders = Counter(block for sequence in self.sequences for block in sequence.blocks)
        resident = [node for node in nodes if node.block >= 0]
        holders.update(node.block for node in resident)
        pool = self.cache.pool
        assert [pool.users(block) for block in range(len(pool))] == [holders[b] for b in range(len(pool))]
        assert len(self.cache.pool) == self.cache.pool.n_free + len(holders)
        assert {node.block: node for node in resident} == self.cache._node_of
        cold = {node for node in resident if holders[node.block] == 1}
        assert set(self.cache._cold) == cold

    @invariant()
    def children_go_before_their_parents(self):
        if not hasattr(self, "cache"):
            return
        nodes = list(walk(self.cache._root))
        root = self.cache._root
        assert all(n.parent is root or n.parent.block >= 0 for n in nodes if n.block >= 0)
        for order in (list(self.cache._cold), list(self.cache._spilled)):
            place = {node: i for i, node in enumerate(order)}
            assert all(place[n] < place[n.parent] for n in order if n.parent in place)

    @invariant()
    def every_room_of_the_file_is_held_once(self):
        if not hasattr(self, "cache"):
            return
        spilled = [node for node in walk(self.cache._root) if node.room >= 0]
        assert set(spilled) == set(self.cache._spilled)
        assert all(node.block < 0 for node in spilled)
        if self.spill is not None:
            rooms = [node.room for node in spilled]
            assert len(set(rooms)) == len(rooms) == self.spill.n_rooms - self.spill.n_free

    def teardown(self):
        if hasattr(self, "cache"):
            for sequence in self.sequences:
                self.cache.close(sequence)
            self.sequences = []
            assert self.cache.n_available == len(self.cache.pool)
            self.every_block_is_counted_once_for_each_who_holds_it()


Cache.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
test_any_order_of_events = Cache.TestCase


def made(n_blocks=8, size=4, rooms=0):
    memory = Memory(n_blocks, size)
    return KVCache(memory, SpillFile(memory.block_bytes, rooms) if rooms else None)


def run(cache, ids):
    """One request of these tokens, begun and ended; returns how many were there."""
    sequence = cache.open(ids, np.zeros(40, np.int32))
    hit = len(sequence)
    assert extend(cache, sequence, ids[hit:])
    cache.close(sequence)
    return hit


def test_tokens_are_found_one_by_one_within_a_block():
    cache = made()
    ids = list(range(11))
    assert run(cache, ids) == 0
    assert run(cache, ids) == 10  # the last is always computed
    assert run(cache, [*ids[:6], 99, 98]) == 6  # one whole block, and two tokens of the next
    assert cache.stats.copied_blocks == 2
    assert run(cache, [77, *ids]) == 0


def test_the_block_used_longest_ago_goes_first():
    cache = made(n_blocks=4)
    run(cache, [1] * 8)
    run(cache, [2] * 8)
    assert run(cache, [1] * 5) == 4  # warms the first block of the first, and takes one more
    assert run(cache, [2] * 5) == 4
    assert cache.stats.evicted_blocks > 0


def test_what_was_spilled_comes_back():
    cache = made(n_blocks=2, rooms=8)
    run(cache, [1, 2, 3, 4, 5, 6])
    run(cache, [9] * 8)
    assert cache.stats.spilled_blocks == 2
    assert run(cache, [1, 2, 3, 4, 5, 6]) == 5
    assert cache.stats.restored_blocks == 1  # the whole block; of the other, a copy was made


def test_two_that_compute_the_same_end_up_with_one_block():
    cache = made()
    rows = np.zeros((2, 8), np.int32)
    pair = [cache.open([5, 6, 7, 8, 9], row) for row in rows]
    for sequence in pair:
        assert extend(cache, sequence, [5, 6, 7, 8, 9])
    assert rows[0, 0] == rows[1, 0]
    assert rows[0, 1] != rows[1, 1]
    assert cache.pool.n_free == 5


def test_a_block_is_not_given_back_twice():
    pool = BlockPool(1)
    block = pool.take()
    assert pool.take() is None
    pool.release(block)
    with pytest.raises(BlockError, match="free already"):
        pool.release(block)
    with pytest.raises(BlockError, match="cannot be shared"):
        pool.share(block)
