"""What is checked of a request before it takes anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Number
from typing import Any, TypeAlias

import numpy as np

from decoding.bounds import whole_number
from decoding.cache import KVCache
from decoding.config import ModelConfig
from decoding.errors import InputError, MemoryPlanError, ParamError, PromptError
from decoding.sampling.params import SamplingParams
from decoding.tokenizer import Tokenizer

Prompt: TypeAlias = str | Sequence[int]


def check_context(context: int, config: ModelConfig) -> int:
    """Return a context that the model has; raises ParamError for another."""
    if not 2 <= whole_number("context", context) <= config.context:
        raise ParamError("context", context, f"lie in [2, {config.context}], the model's own")
    return context


def is_one(prompts: object) -> bool:
    """Whether this is a prompt, not a list of prompts."""
    if isinstance(prompts, np.ndarray):
        return prompts.ndim == 1
    if isinstance(prompts, list | tuple):
        return len(prompts) > 0 and isinstance(prompts[0], Number)
    return isinstance(prompts, str | range)


def each_prompt(prompts: Any) -> list[Any]:  # noqa: ANN401  # may be anything yet
    """Return a list of prompts as one, whatever they are.

    Raises
    ------
    PromptError
        It is none.
    """
    if isinstance(prompts, list | tuple) or (isinstance(prompts, np.ndarray) and prompts.ndim == 2):
        return list(prompts)
    raise PromptError(f"prompts must be a text, token ids, or a list of those, got {_brief(prompts)}")


def params_for(params: object, n: int) -> list[SamplingParams]:
    """Return what each of n prompts asks for; None stands for the defaults.

    Raises
    ------
    InputError
        Something else than `SamplingParams`, or not as many as prompts.
    """
    listed = params if isinstance(params, list | tuple) else [params] * n
    found = []
    for each in listed:
        asked = SamplingParams() if each is None else each
        if not isinstance(asked, SamplingParams):
            raise InputError(f"params must be SamplingParams, or a list of them, got {_brief(each)}")
        found.append(asked)
    if len(found) != n:
        raise InputError(f"{n} prompts need one SamplingParams, or as many; got {len(found)}")
    return found


def prompt_ids(prompt: object, tokenizer: Tokenizer | None, vocab: int, context: int) -> list[int]:
    """Return the token ids of a prompt.

    Raises
    ------
    PromptError
        It is neither text nor token ids; it is empty, fills the context, holds ids outside the vocabulary,
        or is text and there is no tokenizer.
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


def _whole(prompt: object) -> list[int]:
    """Read token ids out of what holds nothing else: bytes, sets and mappings are no prompts."""
    if isinstance(prompt, np.ndarray) and prompt.ndim == 1 and prompt.dtype.kind in "iu":
        return [int(token) for token in prompt]
    if not isinstance(prompt, list | tuple | range):
        raise PromptError(f"a prompt must be a text or a list of token ids, got {_brief(prompt)}")
    for token in prompt:
        if isinstance(token, bool) or not isinstance(token, Integral):
            raise PromptError(f"a prompt must be a text or a list of token ids, got one with {_brief(token)}")
    return [int(token) for token in prompt]


def _brief(found: object) -> str:
    said = repr(found)
    return f"{said if len(said) <= 60 else said[:57] + '...'} of type {type(found).__name__}"


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
