"""Ticks that go to the topics for late ones and dead letters, as they came, with the reason beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipelines.log.records import Batch, Block, Headers, Partition, make_block
from pipelines.stream.refusals import Letter

# A record that one topic took may be too large for another, with headers or uncompressed: one that can
# never be sent would stop the service for ever. Of what is a tick nothing is cut.
_MOST_KEY: Final = 64 << 10
_MOST_VALUE: Final = 512 << 10


def forward(topic: str, batch: Batch, letters: Sequence[Letter]) -> Block:
    """Return records of a batch for another topic, same partition.

    Headers are `error` (the reason), `detail`, and where the record was read: `topic`, `partition`, `offset`;
    and `cut`, the sizes of key and value, where not all of them is kept.
    """
    letters = sorted(letters)
    pairs = [(batch.key(letter.tick), batch.value(letter.tick)) for letter in letters]
    headers = [_headers(batch, letter) + _cut(*pair) for letter, pair in zip(letters, pairs, strict=True)]
    pairs = [(key and key[:_MOST_KEY], value and value[:_MOST_VALUE]) for key, value in pairs]
    return make_block(Partition(topic, batch.partition.number), pairs, headers)


def _headers(batch: Batch, letter: Letter) -> Headers:
    return (
        ("error", letter.reason.encode()),
        ("detail", letter.detail.encode()),
        ("topic", batch.partition.topic.encode()),
        ("partition", b"%d" % batch.partition.number),
        ("offset", b"%d" % int(batch.offsets[letter.tick])),
    )


def _cut(key: bytes | None, value: bytes | None) -> Headers:
    sizes = len(key or b""), len(value or b"")
    return (("cut", b"%d %d" % sizes),) if sizes[0] > _MOST_KEY or sizes[1] > _MOST_VALUE else ()
