"""Messages of librdkafka to columns, and columns to texts, with no loop over records in Python."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter

import numpy as np
from confluent_kafka import Message

from forecast.types import I64, U8
from pipelines.log.records import ABSENT, Batch, Partition

_second = itemgetter(1)


def batches(messages: Sequence[Message]) -> list[Batch]:
    """Put messages, none an error, into one batch a partition; in each, the order is kept.

    All batches share one `data`. Their `position` is one beyond the last record: markers that follow are
    not in the messages.
    """
    n = len(messages)
    topics = sorted(map(str, set(map(Message.topic, messages))))
    numbers = np.fromiter(map(Message.partition, messages), np.int64, n)
    code = numbers
    if len(topics) > 1:
        place = {name: i for i, name in enumerate(topics)}
        code = numbers * len(topics) + np.fromiter(
            map(place.__getitem__, map(str, map(Message.topic, messages))), np.int64, n
        )
    if (code[1:] < code[:-1]).any():
        order = np.argsort(code, kind="stable")
        messages = itemgetter(*order.tolist())(messages)
        code, numbers = code[order], numbers[order]
    data, keys, values = _texts(messages)
    offsets = np.fromiter(map(Message.offset, messages), np.int64, n)
    ts_ms = np.fromiter(map(_second, map(Message.timestamp, messages)), np.int64, n)
    cuts = [0, *(np.flatnonzero(code[1:] != code[:-1]) + 1).tolist(), n]
    return [
        Batch(
            Partition(messages[i].topic() or "", int(numbers[i])), offsets[i:j], ts_ms[i:j],
            data, keys[i:j], values[i:j], int(offsets[j - 1]) + 1,
        )
        for i, j in pairwise(cuts)
    ]  # fmt: skip


def _texts(messages: Sequence[Message]) -> tuple[U8, I64, I64]:
    parts: list[bytes | None] = [None] * (2 * len(messages))
    parts[0::2] = map(Message.key, messages)
    parts[1::2] = map(Message.value, messages)
    try:
        whole, absent = b"".join(parts), []  # type: ignore[arg-type]  # it says so itself
    except TypeError:
        absent = [i for i, part in enumerate(parts) if part is None]
        parts = [part or b"" for part in parts]
        whole = b"".join(part or b"" for part in parts)
    sizes = np.fromiter(map(len, parts), np.int64, len(parts))  # type: ignore[arg-type]  # None is gone
    ends = np.cumsum(sizes)
    bounds = np.stack([ends - sizes, ends], axis=1)
    bounds[absent] = ABSENT
    return np.frombuffer(whole, dtype=np.uint8), bounds[0::2].copy(), bounds[1::2].copy()
