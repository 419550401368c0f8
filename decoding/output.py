"""What a request gives back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from decoding.sampling.logprobs import TokenLogprobs


class FinishReason(StrEnum):
    """Why an answer ended."""

    EOS = "eos"
    """The model's end of sequence."""
    STOP = "stop"
    """A stop text or stop token of the request."""
    LENGTH = "length"
    """`max_new_tokens`, or the end of the context."""
    DEADLINE = "deadline"
    """`deadline_s` went by; the answer is what there was."""
    ABORTED = "aborted"
    """Given up by the caller."""
    REFUSED = "refused"
    """Never begun: `Output.error` says why."""
    FAILED = "failed"
    """Broke off on the way: `Output.error` says why."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts and times of one request; seconds since its submission."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, those found in the cache when it was begun."""
    output_tokens: int = 0
    preemptions: int = 0
    queue_s: float = 0.0
    first_token_s: float | None = None
    total_s: float = 0.0
    seed: int = 0

    @property
    def tokens_per_s(self) -> float | None:
        """Rate of the tokens after the first; None for fewer than two."""
        if self.first_token_s is None or self.output_tokens < 2 or self.total_s <= self.first_token_s:
            return None
        return (self.output_tokens - 1) / (self.total_s - self.first_token_s)


@dataclass(frozen=True, slots=True)
class Output:
    """One answer."""

    token_ids: tuple[int, ...]
    """With the token that ended it."""
    text: str | None
    """Without the stop text, if one ended it; None where the engine has no tokenizer."""
    finish_reason: FinishReason
    stopped_by: int | str | None = None
    """The token id or text that ended it."""
    logprobs: tuple[TokenLogprobs, ...] | None = None
    stats: Stats = Stats()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What a stream gives after a token: text that can no longer change."""

    index: int
    """Which of the prompts."""
    token_ids: tuple[int, ...]
    text: str
    output: Output | None = None
    """The whole answer, with the last piece."""
