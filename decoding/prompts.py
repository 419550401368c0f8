"""What is checked of a request before it takes anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TypeAlias

from decoding.cache import KVCache
from decoding.config import ModelConfig
from decoding.errors import MemoryPlanError, ParamError, PromptError
from decoding.sampling.params import SamplingParams
from decoding.tokenizer import Tokenizer

Prompt: TypeAlias = str | Sequence[int]


def check_context(context: int, config: ModelConfig) -> int:
    """Return a context that the model has; raises ParamError for another."""
    if not 2 <= context <= config.context:
        raise ParamError("context", context, f"lie in [2, {config.context}], the model's own")
    return context


def is_one(prompts: Prompt | Sequence[Prompt]) -> bool:
    """Whether this is a prompt, not a list of prompts."""
    return isinstance(prompts, str) or (len(prompts) > 0 and isinstance(prompts[0], Integral))


def prompt_ids(prompt: Prompt, tokenizer: Tokenizer | None, vocab: int, context: int) -> list[int]:
    """Return the token ids of a prompt.

    Raises
    ------
    PromptError
        It is empty, fills the context, holds ids outside the vocabulary, or is text and there is no
        tokenizer.
    """
    if isinstance(prompt, str):
        if tokenizer is None:
            raise PromptError("the engine has no tokenizer: give token ids instead of text, or load one")
        ids = tokenizer.encode(prompt)
    else:
        ids = _whole(prompt)
    if not ids:
        raise PromptError("the prompt is empty")
    outside = [token for token in ids if not 0 <= token < vocab]
    if outside:
        raise PromptError(f"token id {outside[0]} of the prompt is outside the vocabulary of {vocab}")
    if len(ids) >= context:
        raise PromptError(
            f"the prompt has {len(ids)} tokens, and the context of {context} must hold one more; shorten it"
        )
    return ids


def _whole(prompt: Sequence[object]) -> list[int]:
    ids = [int(token) for token in prompt if isinstance(token, Integral)]
    if len(ids) != len(prompt):
        raise PromptError("a prompt must be a text or a list of token ids")
    return ids


def output_limit(n_prompt: int, params: SamplingParams, context: int, cache: KVCache) -> int:
    """Most tokens of the answer.

    Raises
    ------
    MemoryPlanError
        Prompt and answer are more than all blocks hold.
    """
    capacity = len(cache.pool) * cache.block_size
    # The last token is never computed. Without a number: as many as there are blocks for, at least one.
    most = max(capacity - n_prompt + 1, 1) if params.max_new_tokens is None else params.max_new_tokens
    limit = min(context - n_prompt, most)
    held = n_prompt + limit - 1
    if held > capacity:
        raise MemoryPlanError(
            f"a prompt of {n_prompt} tokens with an answer of {limit}", held, capacity, "tokens of KV cache"
        )
    return limit


def check_against(params: SamplingParams, vocab: int, tokenizer: Tokenizer | None) -> None:
    """Check what only the model and the tokenizer can tell.

    Raises
    ------
    ParamError
        Token ids outside the vocabulary; texts where there is no tokenizer.
    """
    for name, ids in _named_ids(params):
        for token in ids:
            if token >= vocab:
                raise ParamError(name, token, f"hold token ids below {vocab}")
    if tokenizer is None:
        if params.stop_strings:
            raise ParamError("stop", params.stop, "be empty where the engine has no tokenizer")
        if params.dry_multiplier and params.dry_sequence_breakers:
            raise ParamError(
                "dry_sequence_breakers",
                params.dry_sequence_breakers,
                "be empty where the engine has no tokenizer",
            )


def _named_ids(params: SamplingParams) -> Iterable[tuple[str, Iterable[int]]]:
    yield "logit_bias", params.logit_bias
    yield "suppress_tokens", params.suppress_tokens
    yield "stop_token_ids", params.stop_token_ids
    yield "bad_words_ids", (token for word in params.bad_words_ids for token in word)
    yield "sequence_bias", (token for sequence, _ in params.sequence_bias for token in sequence)
