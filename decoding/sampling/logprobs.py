"""Log-probabilities that go with an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probabilities of one step, natural logarithm, of the model itself: before any processor."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    """The most probable tokens, best first; of equal ones the smaller id."""


def token_logprobs(logits: npt.NDArray[np.float32], token: int, n: int) -> TokenLogprobs:
    """Those of the token chosen and of the n most probable.

    Parameters
    ----------
    logits
        (vocab,) as the model gave them.
    """
    shifted = logits.astype(np.float64) - float(logits.max())
    shifted -= np.log(np.exp(shifted).sum())
    n = min(n, len(shifted))
    best = np.empty(0, dtype=np.int64)
    if n:
        floor = np.partition(shifted, len(shifted) - n)[len(shifted) - n]
        known = np.flatnonzero(shifted >= floor)
        best = known[np.argsort(-shifted[known], kind="stable")[:n]]
    top = tuple((int(i), float(shifted[i])) for i in best)
    return TokenLogprobs(token, float(shifted[token]), top)
