"""One request's sampler: processors in their stated order, then the draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from decoding.errors import DecodingError
from decoding.sampling import filters, processors
from decoding.sampling.params import SamplingParams
from decoding.sampling.rng import uniforms

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


class NothingLeftError(DecodingError):
    """Every token is forbidden, or the logits are not numbers."""


@dataclass(slots=True)
class Sampler:
    """Chooses the tokens of one request.

    What it keeps between steps is mirostat's `mu` alone; the generator is a function of (seed, step).

    Parameters
    ----------
    params
        What the request asked for.
    seed
        Of its generator, below 2**64.
    eos
        Ids that end a sequence, for the processors that speak of it; also the request's own stop tokens.
    breakers
        Ids of the tokens that hold one of DRY's sequence breakers.
    """

    params: SamplingParams
    seed: int
    eos: tuple[int, ...] = ()
    breakers: frozenset[int] = frozenset()
    mu: float = field(init=False)
    plain: bool = field(init=False)
    """Whether no processor of the whole vocabulary is on: the logits need no copy."""

    def __post_init__(self) -> None:
        self.mu = 2 * self.params.mirostat_tau
        self.plain = not any(getattr(self.params, name) != off for name, off in _PROCESSORS_OFF.items())

    def sample(self, logits: F32, prefix: Sequence[int], prompt_length: int) -> int:
        """Choose the next token.

        Parameters
        ----------
        logits
            (vocab,) of the last position; not changed.
        prefix
            Ids of the prompt and of the output so far.
        prompt_length
            How many of them are the prompt; the rest is the number of the step.

        Raises
        ------
        NothingLeftError
            Every token is forbidden, or the logits hold a NaN.
        """
        scores = logits if self.plain else self.process(logits, prefix, prompt_length)
        best = int(np.argmax(scores))  # a NaN is the largest to argmax
        if not np.isfinite(scores[best]):
            what = "the logits are not finite" if np.isnan(scores[best]) else "every token is forbidden"
            raise NothingLeftError(f"no token can be chosen: {what}")
        if self.params.greedy:
            return best
        point, chance = uniforms(self.seed, len(prefix) - prompt_length)
        return self._draw(*self.filter(scores, chance), point)

    def process(self, logits: F32, prefix: Sequence[int], prompt_length: int) -> F32:
        """Return a copy of the logits after the processors of the whole vocabulary, in their order."""
        p = self.params
        scores = logits.astype(np.float32, copy=True)
        output = prefix[prompt_length:]
        processors.bias_tokens(scores, p.logit_bias)
        processors.bias_sequences(scores, prefix, p.sequence_bias)
        if p.repetition_penalty != 1:
            processors.penalize_repetition(scores, prefix, p.repetition_penalty)
        if p.frequency_penalty or p.presence_penalty:
            processors.penalize_counts(scores, output, p.frequency_penalty, p.presence_penalty)
        if p.dry_multiplier:
            recent = prefix if p.dry_range is None else prefix[-p.dry_range :]
            processors.penalize_repeats(
                scores, recent, p.dry_multiplier, p.dry_base, p.dry_allowed_length, self.breakers
            )
        if p.no_repeat_ngram_size:
            processors.forbid_ngrams(scores, prefix, p.no_repeat_ngram_size)
        processors.forbid_words(scores, prefix, p.bad_words_ids, self.eos)
        if len(output) < p.min_new_tokens:
            processors.forbid(scores, self.eos)
        if p.exponential_decay_length_penalty is not None:
            start, factor = p.exponential_decay_length_penalty
            processors.raise_end(scores, self.eos, len(output) - start, factor)
        processors.forbid(scores, p.suppress_tokens)
        return scores

    def filter(self, scores: F32, chance: float) -> tuple[Ids, F64]:
        """Ids, ascending, and logits of the candidates that the filters leave.

        Parameters
        ----------
        chance
            In [0, 1): whether XTC acts.
        """
        p, least = self.params, self.params.min_tokens_to_keep
        if 0 < p.top_k < len(scores):  # on float32 and before the division: a fraction of the work
            k = max(p.top_k, least)
            floor = np.partition(scores, len(scores) - k)[len(scores) - k] if k < len(scores) else -np.inf
            ids = np.flatnonzero((scores >= floor) & (scores > -np.inf))
        else:
            ids = np.flatnonzero(scores > -np.inf)
        left = scores[ids].astype(np.float64) / p.temperature

        def narrow(keep: filters.Mask) -> None:
            nonlocal ids, left
            ids, left = ids[keep], left[keep]

        if p.mirostat_tau:
            narrow(filters.keep_surprise(left, self.mu))
        if p.top_p < 1:
            narrow(filters.keep_top_p(left, p.top_p, least))
        if p.min_p:
            narrow(filters.keep_min_p(left, p.min_p, least))
        if p.typical_p < 1:
            narrow(filters.keep_typical(left, p.typical_p, least))
        if p.epsilon_cutoff:
            narrow(filters.keep_epsilon(left, p.epsilon_cutoff, least))
        if p.eta_cutoff:
            narrow(filters.keep_eta(left, p.eta_cutoff, least))
        if chance < p.xtc_probability:
            narrow(filters.keep_unlikely(left, p.xtc_threshold))
        return ids, left

    def _draw(self, ids: Ids, left: F64, point: float) -> int:
        """Invert the distribution function; tell mirostat what came."""
        weights = np.exp(left - left.max())
        running = np.cumsum(weights)
        drawn = min(int(np.searchsorted(running, point * running[-1], side="right")), len(ids) - 1)
        if self.params.mirostat_tau:
            bits = float(-np.log2(weights[drawn] / running[-1]))
            self.mu -= self.params.mirostat_eta * (bits - self.params.mirostat_tau)
        return int(ids[drawn])


_PROCESSORS_OFF = {
    "logit_bias": {}, "sequence_bias": (), "repetition_penalty": 1.0, "frequency_penalty": 0.0,
    "presence_penalty": 0.0, "dry_multiplier": 0.0, "no_repeat_ngram_size": 0, "bad_words_ids": (),
    "min_new_tokens": 0, "exponential_decay_length_penalty": None, "suppress_tokens": (),
}  # fmt: skip
