"""A checkpoint's folder to an engine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from decoding.blocks import BLOCK_SIZE
from decoding.bounds import check_batch, whole_number
from decoding.config import ModelConfig, check_ids, read_object, token_ids
from decoding.crew import MOST_THREADS
from decoding.engine import Engine
from decoding.errors import CheckpointError, ParamError
from decoding.features import BACKENDS, choices, require
from decoding.memory import MemoryPlan, available_bytes, plan_memory
from decoding.prompts import check_context
from decoding.step import StepModel
from decoding.tokenizer import Tokenizer

_MODELS: Final = {"numba": ("decoding.numba_model", "NumbaModel"), "ort": ("decoding.ort", "OrtModel")}


def load_engine(
    path: str | Path,
    *,
    weights: str = "fp32",
    kv: str = "fp32",
    backend: str = BACKENDS[0],
    threads: int | None = None,
    processes: int = 1,
    tokenizer: str | Path | None = None,
    context: int | None = None,
    max_batch: int = 16,
    kv_tokens: int | None = None,
    spill_blocks: int = 0,
    spill_folder: str | Path | None = None,
    eos_ids: Sequence[int] | None = None,
    token_budget: int = 512,
    share_prefixes: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Engine:
    """Load a checkpoint from a local folder in the format of Hugging Face.

    Parameters
    ----------
    path
        Holds `config.json`, the weights in safetensors, and usually `tokenizer.json`.
    weights
        "fp32", "int8" or "int4".
    kv
        "fp32" or "int8": precision of the KV cache.
    backend
        "numba" or "ort".
    threads
        None: all cores that this process may use. In each process, if there are several.
    processes
        Over how many to split the layers, from 1 to their number.
    tokenizer
        A `tokenizer.json` or its folder; None: that of `path`, or none if there is none.
    context
        Most tokens of prompt and answer; None: as the model was made for.
    max_batch
        Most requests at once.
    kv_tokens
        Tokens that the KV cache holds in all; None: `max_batch` whole contexts.
    eos_ids
        Ends of sequence; None: those of `generation_config.json`, or of `config.json`.
    spill_blocks, spill_folder, token_budget, share_prefixes, clock
        As for `Engine`.

    Raises
    ------
    CheckpointError, TokenizerError, ParamError, UnsupportedError
        What cannot be read, is misspelt, or is not there.
    MemoryPlanError
        More than fits into the memory there is; nothing was read but `config.json`.
    """
    config = ModelConfig.from_folder(path)
    check_features(backend, config, weights, kv, spill_blocks != 0)
    check_batch(max_batch, token_budget, spill_blocks)
    context = check_context(config.context if context is None else context, config)
    settings: dict[str, Any] = {"context": context, "max_batch": max_batch}
    whole_number("processes", processes, most=config.n_layers)
    threads = n_cores() if threads is None else whole_number("threads", threads, most=MOST_THREADS)
    plan_engine(config, weights=weights, kv=kv, kv_tokens=kv_tokens, **settings).check(available_bytes())
    known = find_tokenizer(path, tokenizer, config)
    ends = find_eos_ids(path, config) if eos_ids is None else eos_ids
    settings |= {"eos_ids": ends, "token_budget": token_budget, "clock": clock}
    settings |= {"share_prefixes": share_prefixes, "spill_blocks": spill_blocks, "spill_folder": spill_folder}
    n_blocks = n_blocks_for(context, max_batch, kv_tokens)
    sizes = {"weights": weights, "kv": kv, "threads": threads, "block_size": BLOCK_SIZE, "n_blocks": n_blocks}
    model = open_model(path, backend, processes, **sizes)
    try:
        return Engine(model, known, **settings)
    except BaseException:
        model.close()
        raise


def plan_engine(
    config: ModelConfig,
    *,
    weights: str = "fp32",
    kv: str = "fp32",
    context: int | None = None,
    max_batch: int = 16,
    kv_tokens: int | None = None,
) -> MemoryPlan:
    """Plan the memory of an engine; parameters are those of `load_engine`.

    Raises
    ------
    ParamError
        A parameter that cannot be used, by name.
    """
    context = check_context(config.context if context is None else context, config)
    if kv_tokens is None:
        return plan_memory(config, weights=weights, kv=kv, context=context, batch=max_batch)
    tokens = n_blocks_for(context, max_batch, kv_tokens) * BLOCK_SIZE
    return plan_memory(config, weights=weights, kv=kv, context=tokens)


def open_model(path: str | Path, backend: str, processes: int, **sizes: Any) -> StepModel:  # noqa: ANN401  # of the back end
    """Load the weights into a back end, in this process or in several.

    Raises
    ------
    CheckpointError, ParamError, UnsupportedError
        As for `load_engine`.
    """
    if processes == 1:
        module, name = _MODELS[backend]
        model: StepModel = getattr(import_module(module), name).load(path, **sizes)
        return model
    require(backend, "layers over processes")
    from decoding.numba_stage import load_pipeline

    return load_pipeline(path, n_processes=processes, **sizes)


def check_features(backend: str, config: ModelConfig, weights: str, kv: str, spill: bool) -> None:
    """Refuse what the back end does not have, before anything is read.

    Raises
    ------
    ParamError, UnsupportedError
        By name.
    """
    check_feature(backend, f"weights {weights}")
    check_feature(backend, f"kv {kv}")
    if spill:
        require(backend, "spill to a file")
    if config.n_experts:
        require(backend, "mixture of experts")


def check_feature(backend: str, feature: str) -> None:
    """Refuse a precision that is not known, and what the back end does not have.

    Raises
    ------
    ParamError, UnsupportedError
        By name.
    """
    what, _, value = feature.partition(" ")
    if value not in choices(what):
        raise ParamError(what, value, f"be one of {', '.join(choices(what))}")
    require(backend, feature)


def n_blocks_for(context: int, max_batch: int, kv_tokens: int | None) -> int:
    """Blocks for that many tokens, or for a whole context of every request."""
    if kv_tokens is not None:
        return -(-whole_number("kv_tokens", kv_tokens) // BLOCK_SIZE)
    return whole_number("max_batch", max_batch) * -(-context // BLOCK_SIZE)


def n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_tokenizer(path: str | Path, tokenizer: str | Path | None, config: ModelConfig) -> Tokenizer | None:
    """Return the tokenizer named, or the one beside the weights if there is one.

    Raises
    ------
    TokenizerError
        It cannot be read.
    CheckpointError
        It is another model's.
    """
    if tokenizer is None and not (Path(path) / "tokenizer.json").is_file():
        return None
    known = Tokenizer(path if tokenizer is None else tokenizer)
    if known.vocab_size > config.vocab:
        raise CheckpointError(
            f"the tokenizer has {known.vocab_size} tokens, the model {config.vocab}: it is another model's"
        )
    return known


def find_eos_ids(path: str | Path, config: ModelConfig) -> tuple[int, ...]:
    """Find the ends of sequence: those of `generation_config.json`, which may be more than the model's.

    Raises
    ------
    CheckpointError
        The file cannot be read, or names ids outside the vocabulary.
    """
    settings = read_object(Path(path) / "generation_config.json") or {}
    try:
        ids = token_ids("eos_token_id", settings.get("eos_token_id"))
        check_ids(ids, config.vocab)
    except CheckpointError as error:
        raise CheckpointError(f"generation_config.json cannot be used: {error}") from error
    return ids or config.eos_ids
