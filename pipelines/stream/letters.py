"""Ticks that go to the topics for late ones and dead letters, as they came, with the reason beside them."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.log.records import Batch, Block, Headers, Partition, make_block
from pipelines.stream.refusals import Letter


def forward(topic: str, batch: Batch, letters: Sequence[Letter]) -> Block:
    """Return records of a batch for another topic, same partition.

    Headers are `error` (the reason), `detail`, and where the record was read: `topic`, `partition`, `offset`.
    """
    letters = sorted(letters)
    pairs = [(batch.key(letter.tick), batch.value(letter.tick)) for letter in letters]
    headers = [_headers(batch, letter) for letter in letters]
    return make_block(Partition(topic, batch.partition.number), pairs, headers)


def _headers(batch: Batch, letter: Letter) -> Headers:
    return (
        ("error", letter.reason.encode()),
        ("detail", letter.detail.encode()),
        ("topic", batch.partition.topic.encode()),
        ("partition", b"%d" % batch.partition.number),
        ("offset", b"%d" % int(batch.offsets[letter.tick])),
    )
