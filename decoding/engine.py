"""The engine: requests in, answers out; one step of the model at a time for all of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from decoding.bounds import check_batch, whole_number
from decoding.cache import KVCache
from decoding.detokenizer import Detokenizer
from decoding.errors import DecodingError, InputError
from decoding.interrupts import deferred
from decoding.output import FinishReason, Output
from decoding.prompts import (
    Prompt,
    check_against,
    check_context,
    each_prompt,
    is_one,
    output_limit,
    params_for,
    prompt_ids,
)
from decoding.request import Request
from decoding.sampling.logprobs import token_logprobs
from decoding.sampling.params import SamplingParams
from decoding.sampling.sampler import Sampler
from decoding.scheduler import Scheduler, Work
from decoding.spill import SpillFile
from decoding.step import F32, StepBatch, StepModel
from decoding.stopping import StopRules
from decoding.stream import Stream
from decoding.tokenizer import Tokenizer


class Engine:
    """Answers requests with one model; for use from one thread.

    Parameters
    ----------
    model
        A back end; the engine closes it.
    tokenizer
        None: prompts are token ids, and answers have no text.
    eos_ids
        Ends of sequence; None: those of the model.
    context
        Most tokens of prompt and answer; None: as the model was made for.
    max_batch
        Most requests at once; the others wait.
    token_budget
        Most tokens a step: how long a prompt may hold up the others.
    share_prefixes
        Whether a request uses what an earlier one computed for the same beginning.
    spill_blocks, spill_folder
        Cold blocks that a file in that folder may hold; 0: they are forgotten.
    clock
        Seconds, monotonic.

    Raises
    ------
    ParamError
        Names the parameter.
    MemoryPlanError
        The folder has no room for the cold blocks.
    """

    def __init__(
        self,
        model: StepModel,
        tokenizer: Tokenizer | None = None,
        *,
        eos_ids: Sequence[int] | None = None,
        context: int | None = None,
        max_batch: int = 16,
        token_budget: int = 512,
        share_prefixes: bool = True,
        spill_blocks: int = 0,
        spill_folder: str | Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.eos_ids = tuple(model.config.eos_ids if eos_ids is None else eos_ids)
        for token in self.eos_ids:
            whole_number("eos_ids", token, 0, model.config.vocab - 1)
        self.context = check_context(model.config.context if context is None else context, model.config)
        check_batch(max_batch, token_budget, spill_blocks)
        self._spill = SpillFile(model.block_bytes, spill_blocks, spill_folder) if spill_blocks else None
        self.cache = KVCache(model, self._spill, share=share_prefixes)
        most = min(self.cache.blocks_for(self.context), model.n_blocks)
        self.scheduler = Scheduler(self.cache, max_batch, token_budget, max_blocks=most)
        self._clock = clock

    @classmethod
    def load(cls, path: str | Path, **settings: Any) -> Engine:  # noqa: ANN401  # those of load_engine
        """Load a checkpoint from a local folder; parameters are those of `decoding.loading.load_engine`."""
        from decoding.loading import load_engine

        return load_engine(path, **settings)

    def submit(self, prompt: Prompt, params: SamplingParams | None = None) -> Request:
        """Queue one request; `step` moves it on.

        Raises
        ------
        InputError, MemoryPlanError
            The prompt or a parameter cannot be used; nothing was taken.
        """
        (params,) = params_for(params, 1)
        vocab = self.model.config.vocab
        check_against(params, vocab, self.tokenizer)
        ids = prompt_ids(prompt, self.tokenizer, vocab, self.context)
        limit = output_limit(len(ids), params, self.context, self.cache)
        breakers: frozenset[int] = frozenset()
        if params.dry_multiplier and self.tokenizer is not None:
            breakers = self.tokenizer.holding(params.dry_sequence_breakers)
        detokenizer = None
        if self.tokenizer is not None:
            detokenizer = Detokenizer(
                self.tokenizer, skip_special_tokens=params.skip_special_tokens, at_start=False
            )
        request = Request(
            tokens=ids,
            prompt_length=len(ids),
            limit=limit,
            params=params,
            sampler=Sampler(
                params,
                secrets.randbits(63) if params.seed is None else params.seed,
                (*self.eos_ids, *params.stop_token_ids),
                breakers,
            ),
            rules=StopRules(params, limit, self.eos_ids, detokenizer),
            arrival=self._clock(),
            has_text=self.tokenizer is not None,
        )
        self.scheduler.add(request)
        return request

    def step(self) -> list[Request]:
        """Run the model once; returns the requests that got a token, or ended.

        Ctrl-C acts when the step is through, so that the engine can go on.
        """
        with deferred():
            return self._step()

    def abort(self, request: Request) -> None:
        """Give a request up; it ends with what it has.

        Raises
        ------
        InputError
            The request is another engine's.
        """
        if not request.finished and not self.scheduler.has(request):
            raise InputError("a request can be aborted by its own engine only")
        self._give_up([request])

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        progress: bool | None = None,
    ) -> list[Output]:
        """Answer prompts, each a text or a list of token ids, in their order.

        Parameters
        ----------
        params
            One for all, or one a prompt.
        progress
            Show a bar on stderr; None: for more than one prompt on a terminal.

        Raises
        ------
        InputError, MemoryPlanError
            A prompt given alone cannot be used. In a list, it gets an answer with `finish_reason` REFUSED and
            the reason in `error`, and the others are answered.
        """
        requests = self._submit_all(prompts, params)
        try:
            with _bar(progress, len(requests)) as advance:
                waiting = {request for request in requests if isinstance(request, Request)}
                advance(len(requests) - len(waiting))
                while waiting:
                    self.step()
                    done = {request for request in waiting if request.finished}
                    waiting -= done
                    advance(len(done))
        finally:
            self._give_up(requests)
        return [request.output() if isinstance(request, Request) else request for request in requests]

    def stream(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
    ) -> Stream:
        """Answer prompts piece by piece, as they come; each ends with a piece that holds the whole answer.

        Requests are given up when the stream is closed early, or dropped.

        Raises
        ------
        InputError, MemoryPlanError
            As for `generate`, before the first piece.
        """
        return Stream(self._submit_all(prompts, params), self.step, self._give_up)

    def close(self) -> None:
        """Close the model and the file of cold blocks."""
        self.model.close()
        if self._spill is not None:
            self._spill.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submit_all(
        self, prompts: Prompt | Sequence[Prompt], params: SamplingParams | Sequence[SamplingParams] | None
    ) -> list[Request | Output]:
        alone = is_one(prompts)
        listed = [prompts] if alone else each_prompt(prompts)
        requests: list[Request | Output] = []
        try:
            for prompt, setting in zip(listed, params_for(params, len(listed)), strict=True):
                with deferred():  # or a request might be queued that nobody knows
                    requests.append(self._submit_or_refuse(prompt, setting, alone))
        except BaseException:
            self._give_up(requests)
            raise
        return requests

    def _submit_or_refuse(self, prompt: Any, params: SamplingParams, alone: bool) -> Request | Output:  # noqa: ANN401  # may be anything yet
        try:
            return self.submit(prompt, params)
        except DecodingError as error:
            if alone:
                raise
            return Output((), None, FinishReason.REFUSED, error=str(error))

    def _step(self) -> list[Request]:
        now = self._clock()
        moved = self.scheduler.late(now)
        for request in moved:
            self._end(request, FinishReason.DEADLINE)
        work = self.scheduler.plan(now)
        if work:
            logits = self.model.step(_pack(work, self.scheduler.block_table))
            for item in work:
                self.cache.advance(item.request.held, item.request.tokens[item.start : item.stop])
            wanting = [item.request for item in work if item.wants_logits]
            for request, row in zip(wanting, logits, strict=True):
                self._choose(request, row)
            moved += wanting
        return moved

    def _give_up(self, requests: Sequence[Request | Output]) -> None:
        """End those that have not ended."""
        with deferred():
            for request in requests:
                if isinstance(request, Request) and not request.finished:
                    self._end(request, FinishReason.ABORTED)

    def _choose(self, request: Request, logits: F32) -> None:
        """Give a request its next token; what goes wrong ends this request alone."""
        try:
            token = request.sampler.sample(logits, request.tokens, request.prompt_length)
            if request.params.logprobs is not None:
                request.logprobs.append(token_logprobs(logits, token, request.params.logprobs))
            request.add(token, self._clock())
        except Exception as error:  # whatever it is, the others have their tokens
            said = str(error) if isinstance(error, DecodingError) else f"{type(error).__name__}: {error}"
            self._end(request, FinishReason.FAILED, said)
        if request.finished:
            self.scheduler.drop(request)

    def _end(self, request: Request, reason: FinishReason, error: str | None = None) -> None:
        self.scheduler.drop(request)
        request.end(reason, self._clock(), error)


def _bar(wanted: bool | None, total: int) -> Any:  # noqa: ANN401  # a context manager either way
    if wanted is False or total < 2:
        return nullcontext(lambda _: None)
    from decoding.progress import bar

    return bar(total, always=wanted is True)


def _pack(work: Sequence[Work], block_table: np.ndarray[Any, np.dtype[np.int32]]) -> StepBatch:
    """Lay out the tokens of all requests, one after the other."""
    lengths = [item.stop - item.start for item in work]
    places = np.concatenate([np.arange(item.start, item.stop) for item in work])
    wanted = np.zeros(len(places), dtype=np.bool_)
    wanted[np.cumsum(lengths)[[item.wants_logits for item in work]] - 1] = True
    tokens = [token for item in work for token in item.request.tokens[item.start : item.stop]]
    slots = np.repeat(np.array([item.request.slot for item in work], dtype=np.int32), lengths)
    return StepBatch(
        np.array(tokens, dtype=np.int32), slots, places, places.astype(np.int32), wanted, block_table
    )
