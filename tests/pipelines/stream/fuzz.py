"""Inputs of every kind for the decoder: counts add up, nothing crashes, nothing is skipped.

``python -m tests.pipelines.stream.fuzz 1000000`` takes a minute a million.
"""

from __future__ import annotations

import random
import sys
from collections import Counter

from pipelines.errors import Reason, WireError
from pipelines.stream.decode import decode
from pipelines.stream.refusals import Refusal
from pipelines.wire import decode_tick
from tests.pipelines.stream.streams import raw_batch

BATCH = 1000
REASONS = {*Reason, Refusal.KEY_MISMATCH}
SEEDS = [
    b'{"series_id":"s1","ts_ms":1700000000000,"value":-12.5,"v":1}',
    b'{"series_id":"s1","ts_ms":1700000000000,"value":null,"v":1}',
    b'{"series_id":"\\u00e9 \\"x\\"","ts_ms":-5,"value":1e300,"exog":{"a":1.5,"b":-2},"v":1}',
    b' { "v" : 1 , "value" : 3 , "ts_ms" : 17 , "series_id" : "a:b" } ',
    '{"series_id":"caf\u00e9","ts_ms":1,"value":0.1,"v":1}'.encode(),
    b'{"series_id":"\\ud83d\\ude00","ts_ms":1,"value":0.1,"v":1}',
]
PIECES = [
    b'"', b"\\", b"{", b"}", b"[", b",", b":", b"NaN", b"Infinity", b"-", b"e", b"1" * 20, b"\x00", b"\xff",
    b"\\ud800", b"null", b"true", b'"exog":{"a":1e999}', b'"v":2', b"0.", b"\xc3", b'"series_id":""', b" ",
    b"9" * 400,
]  # fmt: skip


def mutated(rng, text):
    """A message with a few things wrong, or right."""
    out = bytearray(text)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 8])):
        at, kind = rng.randrange(len(out) + 1), rng.randrange(5)
        if kind == 0:
            del out[at : at + rng.randrange(1, 9)]
        elif kind == 1:
            out[at:at] = rng.choice(PIECES)
        elif kind == 2 and at < len(out):
            out[at] = rng.randrange(256)
        elif kind == 3:
            out[at:at] = rng.choice(SEEDS)[rng.randrange(30) :]
        else:
            out[at:at] = rng.randbytes(rng.randrange(1, 5))
    return bytes(out)


def records(rng, n):
    """Keys and values."""
    for _ in range(n):
        value = rng.choice([None, b"", rng.randbytes(rng.randrange(40))]) if rng.random() < 0.05 else None
        if value is None and rng.random() < 0.97:
            value = mutated(rng, rng.choice(SEEDS))
        key = rng.choice([b"s1", b"", b"a:b", "caf\u00e9".encode(), b'\xc3\xa9 "x"', b"\xff"])
        if rng.random() < 0.6:
            key = None
        yield key, value


def check(batch):
    """Every record is a tick as the wire has it, or refused with a reason; return how many of which."""
    found = decode(batch, ("a", "c"))
    refused = {letter.tick: letter for letter in found.refused}
    assert len(refused) == len(found.refused)
    counts = Counter(letter.reason for letter in found.refused)
    assert set(counts) <= REASONS
    for i in range(len(batch.offsets)):
        try:
            tick = decode_tick(batch.value(i))
        except WireError as error:
            reason = error.reason
        else:
            reason = None
        if reason is not None:
            assert refused[i].reason == reason
            assert found.id_first[i] < 0
            continue
        if batch.key(i) not in (None, tick.series_id.encode()):
            assert refused[i].reason == Refusal.KEY_MISMATCH
            assert found.id_first[i] < 0
            continue
        assert i not in refused
        assert found.data[found.id_first[i] : found.id_last[i]].tobytes() == tick.series_id.encode()
        value = found.value[i]
        assert found.ts_ms[i] == tick.ts_ms
        assert value == tick.value if tick.value is not None else value != value
        assert found.brings[i] == bool(tick.exog)
        given = found.exog[i, 0]
        assert given == tick.exog["a"] if "a" in tick.exog else given != given
        counts["ticks"] += 1
    assert counts.total() == len(batch.offsets)
    return counts


def run(n, seed=0):
    """Check n inputs."""
    rng, counts = random.Random(seed), Counter()
    for first in range(0, n, BATCH):
        counts += check(raw_batch(list(records(rng, min(BATCH, n - first))), first))
    assert counts.total() == n
    return counts


if __name__ == "__main__":
    print(dict(run(int(sys.argv[1]))))  # noqa: T201
