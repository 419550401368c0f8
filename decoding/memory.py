"""What a model will take in memory, said before it is loaded, and refused when it cannot fit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from decoding.config import ModelConfig
from decoding.errors import MemoryPlanError, ParamError
from decoding.packing import matrices
from decoding.quantize import COLUMNS, PRECISIONS, ROWS, Precision, check_precision, padded

GIB = 1 << 30

NUMBER_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
"""Bytes of a number of the KV cache. "fp16" is what others keep: it can be planned, no back end has it."""

_STEP_BYTES = 4
_TOKENS_A_STEP = 512
"""Tokens that working memory is planned for, where nobody says."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes by what they are for.

    Parameters
    ----------
    weights
        Packed matrices, norms and biases.
    kv
        Keys and values of `batch` sequences of `context` tokens.
    working
        What lies between the phases of a step, and its logits.
    """

    weights: int
    kv: int
    working: int
    context: int
    batch: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.working

    def check(self, available: int | None) -> None:
        """Refuse the plan if it is larger than `available`; None says that nobody knows.

        Raises
        ------
        MemoryPlanError
            The numbers are attributes.
        """
        if available is not None and self.total > available:
            sequences = "1 sequence" if self.batch == 1 else f"{self.batch} sequences"
            what = f"{sequences} of {self.context} tokens with {self.weights:,} bytes of weights"
            raise MemoryPlanError(what, self.total, available, fix=self._fix(available))

    def _fix(self, available: int) -> str:
        """Say what would fit."""
        room = available - self.weights - self.working
        tokens = max(room, 0) * self.context * self.batch // self.kv
        if tokens < 1:
            return "the weights leave no room: take a lower precision, or a smaller model"
        return (
            f"{tokens:,} tokens of KV cache would fit: lower context, max_batch or kv_tokens, or take int8 KV"
        )

    def __str__(self) -> str:
        rows = (
            ("weights", self.weights),
            (f"KV cache, {self.batch} x {self.context} tokens", self.kv),
            ("working memory", self.working),
            ("total", self.total),
        )
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {size / GIB:9.3f} GiB" for name, size in rows)


def kv_token_bytes(config: ModelConfig, kv: str = "fp32") -> int:
    """Bytes of the keys and values of one token, in all layers.

    Raises
    ------
    ParamError
        An unknown precision.
    """
    if kv not in NUMBER_BYTES:
        raise ParamError("kv", kv, f"be one of {', '.join(NUMBER_BYTES)}")
    head = padded(config.head_size, ROWS) * NUMBER_BYTES[kv] + (_STEP_BYTES if kv == "int8" else 0)
    return 2 * config.n_layers * config.n_kv_heads * head


def weight_bytes(config: ModelConfig, weights: Precision) -> int:
    """Bytes of all packed matrices, norms and biases."""
    packed = sum(matrix.n_bytes for matrix in matrices(config, weights))
    hidden, head = padded(config.hidden, COLUMNS), padded(config.head_size, ROWS)
    qkv = padded(config.q_width + 2 * config.kv_width, ROWS)
    return packed + 4 * (hidden + config.n_layers * (2 * hidden + 2 * head + qkv))


def working_bytes(config: ModelConfig, tokens: int, wanted: int) -> int:
    """Bytes between the phases of a step of `tokens` tokens, `wanted` of which want logits; nearly exact."""
    turns = max(config.experts_per_token, 1)
    qkv = config.q_width + 2 * config.kv_width
    widest = max(config.hidden, config.q_width, config.mlp)
    row = 2 * config.hidden + qkv + config.q_width + turns * (config.mlp + config.hidden + widest) + widest
    return 4 * (tokens * row + wanted * (padded(config.vocab, ROWS) + widest))


def plan_memory(
    config: ModelConfig,
    *,
    weights: str = "fp32",
    kv: str = "fp32",
    context: int | None = None,
    batch: int = 1,
    step_tokens: int = _TOKENS_A_STEP,
) -> MemoryPlan:
    """Plan a model's memory.

    Parameters
    ----------
    context
        Tokens of a sequence; None: as many as the model was made for.
    batch
        Sequences at once.
    step_tokens
        Most tokens of one step.

    Raises
    ------
    ParamError
        A parameter that cannot be used, by name.
    """
    precision = check_precision("weights", weights)
    context = config.context if context is None else context
    for name, value in (("context", context), ("batch", batch), ("step_tokens", step_tokens)):
        if value < 1:
            raise ParamError(name, value, "be at least 1")
    return MemoryPlan(
        weights=weight_bytes(config, precision),
        kv=batch * context * kv_token_bytes(config, kv),
        working=working_bytes(config, min(step_tokens, batch * context), batch),
        context=context,
        batch=batch,
    )


def check_blocks(config: ModelConfig, n_blocks: int, block_size: int, *, weights: str, kv: str) -> None:
    """Refuse a model with so many blocks of KV cache that this process cannot have the memory for it.

    Raises
    ------
    ParamError, MemoryPlanError
        A parameter that cannot be used, by name; more than there is.
    """
    tokens = max(n_blocks * block_size, 1)
    plan_memory(config, weights=weights, kv=kv, context=tokens).check(available_bytes())


def plan_table(
    config: ModelConfig,
    contexts: Sequence[int],
    batches: Sequence[int],
    *,
    kv: str = "fp32",
    available: int | None = None,
) -> str:
    """Write weights by precision, KV by context, batch and precision, and all together, in GiB.

    Parameters
    ----------
    kv
        Precision of the KV cache in the sums.
    available
        Bytes; larger sums get a star. None: nobody knows.
    """
    head = "  ".join(f"{name} {weight_bytes(config, name) / GIB:.3f} GiB" for name in PRECISIONS)
    sizes = [(batch, context) for context in contexts for batch in batches]
    caches = [
        [context * batch * kv_token_bytes(config, each) for each in NUMBER_BYTES] for batch, context in sizes
    ]
    sums = [
        [plan_memory(config, weights=name, kv=kv, context=context, batch=batch).total for name in PRECISIONS]
        for batch, context in sizes
    ]
    lines = [
        f"weights: {head}",
        "",
        *_sizes_table("KV cache, GiB", NUMBER_BYTES, sizes, caches, None),
        "",
        *_sizes_table(f"in all, {kv} KV, weights", PRECISIONS, sizes, sums, available),
    ]
    if available is not None:
        lines += ["", f"there are {available / GIB:.3f} GiB; * does not fit"]
    return "\n".join(lines)


def _sizes_table(
    head: str,
    columns: Iterable[str],
    sizes: Sequence[tuple[int, int]],
    rows: Sequence[Sequence[int]],
    available: int | None,
) -> Iterator[str]:
    width = max(len(head), 22)
    yield f"{head:<{width}}" + "".join(f"{column:>12} " for column in columns).rstrip()
    for (batch, context), row in zip(sizes, rows, strict=True):
        cells = [f"{n / GIB:>12.3f}{'*' if available is not None and n > available else ' '}" for n in row]
        yield f"{f'{batch:>4} x {context:>7} tokens':<{width}}" + "".join(cells).rstrip()


def available_bytes() -> int | None:
    """Memory that this process can still have, by machine and control group; None where unknown."""
    found = list(_limits())
    return min(found) if found else None


def _limits() -> Iterator[int]:
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.is_file() and used.is_file():
        most = limit.read_text(encoding="ascii").strip()
        if most.isdigit():
            yield max(int(most) - int(used.read_text(encoding="ascii")), 0)
