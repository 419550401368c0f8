"""Which partition a key goes to: as Apache Kafka's own producers place it, so that all producers agree."""

from __future__ import annotations

from typing import Final

_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_WORD: Final = 0xFFFFFFFF


def partition_of(key: bytes, n_partitions: int) -> int:
    """Return the partition of a key, from 0; all ticks of a series thus stay in order.

    It depends on the number of partitions: a topic that gets more of them splits its series.
    """
    return (murmur2(key) & 0x7FFFFFFF) % n_partitions


def murmur2(data: bytes) -> int:
    """Return MurmurHash2 of `data`, 32 bits without a sign, with the seed that Kafka uses.

    Source: A. Appleby, MurmurHash2 (2008), public domain.
    """
    h = _SEED ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = (int.from_bytes(data[i : i + 4], "little") * _FACTOR) & _WORD
        k = ((k ^ (k >> 24)) * _FACTOR) & _WORD
        h = ((h * _FACTOR) & _WORD) ^ k
    if whole < len(data):
        h = ((h ^ int.from_bytes(data[whole:], "little")) * _FACTOR) & _WORD
    h = ((h ^ (h >> 13)) * _FACTOR) & _WORD
    return h ^ (h >> 15)
