"""One request, from submission to its last token."""

from __future__ import annotations

from dataclasses import dataclass, field

from decoding.cache import Sequence
from decoding.errors import InputError
from decoding.output import FinishReason, Output, Stats
from decoding.sampling.logprobs import TokenLogprobs
from decoding.sampling.params import SamplingParams
from decoding.sampling.sampler import Sampler
from decoding.stopping import Stop, StopRules


@dataclass(slots=True, eq=False)
class Request:
    """What is known of a request; times are those of the engine's clock, in seconds.

    `sequence` is there while it runs: what is computed of `tokens` are the first ``len(sequence)``, and the
    last token is never computed before the next one is wanted.
    """

    tokens: list[int]
    """Prompt, then output."""
    prompt_length: int
    limit: int
    """Most tokens of the output."""
    params: SamplingParams
    sampler: Sampler
    rules: StopRules
    arrival: float
    has_text: bool
    slot: int = -1
    sequence: Sequence | None = None
    begun: float | None = None
    first_token: float | None = None
    ended: float | None = None
    cached_tokens: int = 0
    preemptions: int = 0
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    stop: Stop | None = None
    error: str | None = None

    @property
    def held(self) -> Sequence:
        """The sequence of a request that runs."""
        if self.sequence is None:
            raise InputError("the request does not run")
        return self.sequence

    @property
    def pending(self) -> int:
        """Tokens that are to be computed before the next one can be chosen."""
        return len(self.tokens) - (0 if self.sequence is None else len(self.sequence))

    @property
    def finished(self) -> bool:
        return self.stop is not None

    @property
    def n_output(self) -> int:
        return len(self.tokens) - self.prompt_length

    def late(self, now: float) -> bool:
        """Whether its deadline has gone by."""
        return self.params.deadline_s is not None and now - self.arrival >= self.params.deadline_s

    def add(self, token: int, now: float) -> None:
        """Take the next token."""
        self.tokens.append(token)
        if self.first_token is None:
            self.first_token = now
        stop = self.rules.push(token)
        if stop is not None:
            self.stop, self.ended = stop, now

    def end(self, reason: FinishReason, now: float, error: str | None = None) -> None:
        """End it from outside, with what it has."""
        self.stop, self.error, self.ended = Stop(reason), error, now
        self.rules.end()

    def output(self) -> Output:
        """Return the answer of a finished request."""
        if self.stop is None or self.ended is None:
            raise InputError("the request has not ended")
        begun = self.ended if self.begun is None else self.begun
        first = None if self.first_token is None else self.first_token - self.arrival
        return Output(
            token_ids=tuple(self.tokens[self.prompt_length :]),
            text=self.rules.text if self.has_text else None,
            finish_reason=self.stop.reason,
            stopped_by=self.stop.by,
            logprobs=None if self.params.logprobs is None else tuple(self.logprobs),
            error=self.error,
            stats=Stats(
                prompt_tokens=self.prompt_length,
                cached_tokens=self.cached_tokens,
                output_tokens=self.n_output,
                preemptions=self.preemptions,
                queue_s=begun - self.arrival,
                first_token_s=first,
                total_s=self.ended - self.arrival,
                seed=self.sampler.seed,
            ),
        )
