"""Processors of the whole vocabulary: they change logits, or forbid tokens, in place.

Everywhere `logits` is (vocab,) float32, minus infinity where forbidden, and `prefix` the ids of prompt and
output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

# dry_base ** exponent stays a finite float32 below this: a longer repetition is as forbidden as can be.
_LARGEST_PENALTY: Final = 1e37
_LARGEST_EXPONENT: Final = math.log(_LARGEST_PENALTY)


def bias_tokens(logits: F32, bias: Mapping[int, float]) -> None:
    """Add a number to some logits."""
    for token, value in bias.items():
        logits[token] += np.float32(value)


def bias_sequences(logits: F32, prefix: Sequence[int], biases: Sequence[tuple[Sequence[int], float]]) -> None:
    """Add to the last token of each sequence whose other tokens end the prefix."""
    for sequence, value in biases:
        before = len(sequence) - 1
        if not before or list(prefix[-before:]) == list(sequence[:-1]):
            logits[sequence[-1]] += np.float32(value)


def penalize_repetition(logits: F32, prefix: Sequence[int], penalty: float) -> None:
    """Divide positive logits of seen tokens, multiply negative ones; each token once (Keskar et al. 2019)."""
    seen = np.unique(np.asarray(prefix, dtype=np.int64))
    value = logits[seen]
    logits[seen] = np.where(value < 0, value * np.float32(penalty), value / np.float32(penalty))


def penalize_counts(logits: F32, output: Sequence[int], frequency: float, presence: float) -> None:
    """Subtract from the tokens of the output: per occurrence, and once."""
    if not output:
        return
    seen, counts = np.unique(np.asarray(output, dtype=np.int64), return_counts=True)
    logits[seen] -= (counts * frequency + presence).astype(np.float32)


def penalize_repeats(
    logits: F32,
    prefix: Sequence[int],
    multiplier: float,
    base: float,
    allowed: int,
    breakers: frozenset[int] = frozenset(),
) -> None:
    """Subtract ``multiplier * base ** (n - allowed)`` from what would go on with a repetition (DRY).

    n is the length of the longest run that ends the prefix and also stands earlier, just before the token.
    A run never holds a breaker, and a breaker is never penalized.
    """
    tokens = np.asarray(prefix, dtype=np.int64)
    matches = np.arange(len(tokens) - 1)  # ends of earlier runs that agree with the last `length` tokens
    longest: dict[int, int] = {}
    most = allowed + int(np.log(_LARGEST_PENALTY) / np.log(base)) if base > 1 else len(tokens)
    for length in range(1, min(len(tokens) - 1, most) + 1):
        last = int(tokens[-length])
        if last in breakers:
            break
        matches = matches[matches >= length - 1]
        matches = matches[tokens[matches - length + 1] == last]
        if not len(matches):
            break
        if length >= allowed:
            longest.update(dict.fromkeys(tokens[matches + 1].tolist(), length))
    for token, length in longest.items():
        if token not in breakers:
            logits[token] -= np.float32(min(multiplier * base ** (length - allowed), _LARGEST_PENALTY))


def forbid_ngrams(logits: F32, prefix: Sequence[int], n: int) -> None:
    """Forbid what would complete an n-gram that the prefix already holds."""
    if len(prefix) < n:
        return
    tokens = np.asarray(prefix, dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, n)
    begun = (windows[:, :-1] == tokens[len(tokens) - n + 1 :]).all(axis=1)
    logits[windows[begun, -1]] = -np.inf


def forbid_words(
    logits: F32, prefix: Sequence[int], words: Sequence[Sequence[int]], eos: Sequence[int] = ()
) -> None:
    """Forbid the last token of each word begun; a word that is an end of sequence alone is not forbidden."""
    kept = [(word, -np.inf) for word in words if not (len(word) == 1 and word[0] in eos)]
    bias_sequences(logits, prefix, kept)


def forbid(logits: F32, tokens: Sequence[int]) -> None:
    """Forbid tokens."""
    logits[list(tokens)] = -np.inf


def raise_end(logits: F32, eos: Sequence[int], excess: int, factor: float) -> None:
    """Add ``|logit| * (factor ** excess - 1)`` to the end of sequence, once `excess` is positive."""
    if excess > 0:
        ids = [token for token in eos if logits[token] > -np.inf]
        # 1.1 ** 8000 is more than a float64 holds.
        gain = factor**excess - 1 if excess * math.log(factor) < _LARGEST_EXPONENT else _LARGEST_PENALTY
        with np.errstate(over="ignore"):
            raised = logits[ids] + np.abs(logits[ids]) * np.float32(gain)
        logits[ids] = np.minimum(raised, np.finfo(np.float32).max)
