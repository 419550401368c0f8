"""When an answer ends, and what of its text may be shown before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from decoding.detokenizer import Detokenizer
from decoding.output import FinishReason
from decoding.sampling.params import SamplingParams


class Stop(NamedTuple):
    """Why, and by what."""

    reason: FinishReason
    by: int | str | None = None


class StopRules:
    """Follows one answer: its text, and whether it ends.

    The text after each token is that of all tokens so far, so a stop text is found wherever token borders
    fall. Of several, the one that begins first wins, and of those the longest.

    Parameters
    ----------
    params
        What the request asked for.
    limit
        Most tokens of the answer.
    eos
        The model's ends of sequence.
    detokenizer
        None where there is no text.
    """

    def __init__(
        self, params: SamplingParams, limit: int, eos: Sequence[int], detokenizer: Detokenizer | None
    ) -> None:
        self.text = ""
        """Settled so far; all of it, without the stop text, once the answer has ended."""
        self._params = params
        self._limit = limit
        self._eos = frozenset() if params.ignore_eos else frozenset(eos)
        self._stops = params.stop_strings
        self._longest = max(map(len, self._stops), default=0)
        self._detokenizer = detokenizer
        self._n_tokens = 0
        self._shown = 0
        self._searched = 0

    def push(self, token: int) -> Stop | None:
        """Take a token; say whether it is the last."""
        self._n_tokens += 1
        if self._detokenizer is not None:
            self.text += self._detokenizer.push(token)
        stop = self._judge(token)
        if stop is not None and not (stop.reason is FinishReason.STOP and isinstance(stop.by, str)):
            self.end()
        return stop

    def end(self) -> None:
        """Settle the text: no token follows."""
        if self._detokenizer is not None:
            self.text += self._detokenizer.finish()
        self._longest = 0

    def show(self) -> str:
        """Text that is new since the last call and cannot become part of a stop text."""
        until = len(self.text) - self._held_back()
        text, self._shown = self.text[self._shown : until], max(until, self._shown)
        return text

    def _judge(self, token: int) -> Stop | None:
        found = self._find(self._detokenizer) if self._stops and self._detokenizer else None
        if self._n_tokens >= self._params.min_new_tokens:
            if token in self._eos:
                return Stop(FinishReason.EOS, token)
            if token in self._params.stop_token_ids:
                return Stop(FinishReason.STOP, token)
            if found is not None:
                return Stop(FinishReason.STOP, self._cut(*found))
        return Stop(FinishReason.LENGTH) if self._n_tokens >= self._limit else None

    def _find(self, detokenizer: Detokenizer) -> tuple[int, str] | None:
        """Where the first stop text begins that was not there a token ago."""
        text = self.text + detokenizer.pending()
        before, self._searched = self._searched, len(self.text)
        starts = ((max(0, before - len(stop) + 1), stop) for stop in self._stops)
        found = [(at, stop) for start, stop in starts if (at := text.find(stop, start)) >= 0]
        return min(found, key=lambda hit: (hit[0], -len(hit[1])), default=None)

    def _cut(self, at: int, stop: str) -> str:
        self.end()
        self.text = self.text[: at + len(stop) if self._params.include_stop else at]
        return stop

    def _held_back(self) -> int:
        """Length of the longest end of the text with which a stop text begins."""
        for n in range(min(self._longest - 1, len(self.text)), 0, -1):
            end = self.text[-n:]
            if any(stop.startswith(end) for stop in self._stops):
                return n
        return 0
