"""Random numbers that depend on a seed and a step, and on nothing that happened before.

Source: Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3": Philox 4x64, ten
rounds.
"""

from __future__ import annotations

from typing import Final

_WORD: Final = 2**64 - 1
_MULTIPLIERS: Final = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL: Final = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS: Final = 10


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Four 64-bit words for one counter, as ``numpy.random.Philox`` gives them for the counter before it."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> 64) ^ c1 ^ k0, p1 & _WORD, (p0 >> 64) ^ c3 ^ k1, p0 & _WORD
        k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
    return c0, c1, c2, c3


def uniforms(seed: int, step: int) -> tuple[float, float]:
    """Two numbers in [0, 1) for a step of the request with that seed, 53 bits each.

    Preempted, batched or streamed: step t of a seed always draws the same.
    """
    first, second, _, _ = philox((step, 0, 0, 0), (seed, 0))
    return (first >> 11) * 2.0**-53, (second >> 11) * 2.0**-53
