"""Filters of the candidates: which of them stay.

Everywhere `logits` is (n,) float64, finite: the candidates left so far. The answer is (n,) booleans, true
where a candidate stays. Probabilities are those among the candidates.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

HEAD: Final = 128
"""Candidates that are sorted at first: enough for most distributions of a trained model."""

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def softmax(logits: F64) -> F64:
    """Probabilities of the candidates."""
    weight = np.exp(logits - logits.max())
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def _head(key: F64, probs: F64, mass: float, least: int = 1) -> npt.NDArray[np.int64]:
    """Find the smallest keys, all equal ones with them, that have that probability together.

    Sorting a few of a large vocabulary takes a tenth of the time of sorting all.
    """
    k = max(HEAD, least)
    while k < len(key):
        head = np.flatnonzero(key <= np.partition(key, k - 1)[k - 1])
        if probs[head].sum() > mass:
            return head
        k *= 16
    return np.arange(len(key))


def keep_top_k(logits: F64, k: int) -> Mask:
    """Keep the k largest, and what equals the smallest of them."""
    if k >= len(logits):
        return np.ones(len(logits), dtype=np.bool_)
    return np.asarray(logits >= np.partition(logits, len(logits) - k)[len(logits) - k])


def keep_top_p(logits: F64, p: float, least: int = 1) -> Mask:
    """Drop the least probable whose sum is at most 1 - p (Holtzman et al. 2020); of equal ones, the last."""
    probs = softmax(logits)
    head = _head(-probs, probs, p)
    ascending = head[np.argsort(-probs[head], kind="stable")[::-1]]
    rest = 1.0 - probs[head].sum() if len(head) < len(probs) else 0.0
    keep = np.zeros(len(probs), dtype=np.bool_)
    keep[ascending[np.cumsum(probs[ascending]) + rest > 1.0 - p]] = True
    if int(keep.sum()) < least:
        keep[np.argsort(-probs, kind="stable")[:least]] = True
    return keep


def keep_min_p(logits: F64, p: float, least: int = 1) -> Mask:
    """Keep what has at least p times the largest probability (Nguyen et al. 2024)."""
    probs = softmax(logits)
    return np.asarray((probs >= p * probs.max()) | keep_top_k(logits, least))


def keep_typical(logits: F64, p: float, least: int = 1) -> Mask:
    """Keep those whose surprise is nearest the entropy, up to mass p (Meister et al. 2023)."""
    probs = softmax(logits)
    surprise = -np.log(np.maximum(probs, np.finfo(np.float64).tiny))
    shift = np.abs(surprise - (probs * surprise).sum())
    head = _head(shift, probs, p, least)
    order = head[np.argsort(shift[head], kind="stable")]
    last = min(int((np.cumsum(probs[order]) < p).sum()), len(order) - 1)
    keep = shift <= shift[order[last]]
    keep[order[:least]] = True
    return np.asarray(keep, dtype=np.bool_)


def keep_epsilon(logits: F64, epsilon: float, least: int = 1) -> Mask:
    """Keep what has at least that probability (Hewitt et al. 2022)."""
    return (softmax(logits) >= epsilon) | keep_top_k(logits, least)


def keep_eta(logits: F64, epsilon: float, least: int = 1) -> Mask:
    """Keep probabilities of ``min(epsilon, sqrt(epsilon) * exp(-entropy))`` and more (Hewitt et al. 2022)."""
    probs = softmax(logits)
    entropy = -(probs * np.log(np.maximum(probs, np.finfo(np.float64).tiny))).sum()
    eta = min(epsilon, float(np.sqrt(epsilon) * np.exp(-entropy)))
    return (probs >= eta) | keep_top_k(logits, least)


def keep_unlikely(logits: F64, threshold: float) -> Mask:
    """Of the tokens at or above the threshold, keep the least probable only (XTC)."""
    probs = softmax(logits)
    order = np.argsort(-probs, kind="stable")
    above = int((probs >= threshold).sum())
    keep = np.ones(len(probs), dtype=np.bool_)
    keep[order[: max(above - 1, 0)]] = False
    return keep


def keep_surprise(logits: F64, most_bits: float) -> Mask:
    """Keep what surprises by at most that many bits, and always the most probable (mirostat 2)."""
    probs = softmax(logits)
    keep = -np.log2(np.maximum(probs, np.finfo(np.float64).tiny)) <= most_bits
    keep[np.argmax(probs)] = True
    return np.asarray(keep, dtype=np.bool_)
