"""The back end of our own kernels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from decoding.blocks import BLOCK_SIZE
from decoding.checkpoint import Checkpoint
from decoding.config import ModelConfig
from decoding.crew import Crew
from decoding.errors import InputError, ParamError
from decoding.kernels import shapes
from decoding.kernels.attention import QUERIES
from decoding.kernels.batch import BAD_BLOCK, BAD_PLACE, BAD_SLOT, BAD_TOKEN, plan_runs
from decoding.kernels.forward import forward
from decoding.kernels.panels import TILE
from decoding.kernels.team import SMALL
from decoding.kernels.tiles import PLACES, SPAN_BYTES, STATE_BYTES
from decoding.memory import check_blocks
from decoding.packing import PackedWeights, aligned_zeros, load_packed
from decoding.quantize import BLOCK, COLUMNS, LINE, ROWS, Precision, check_precision, padded
from decoding.rotary import angles, frequencies
from decoding.step import F32, StepBatch
from forecast.types import I64, U8

_KINDS = {"fp32": shapes.F32, "int8": shapes.INT8, "int4": shapes.INT4}

_FAULTS = {
    BAD_TOKEN: "its id is outside the vocabulary",
    BAD_SLOT: "its slot has no row in the block table",
    BAD_PLACE: "its place is outside the block table",
    BAD_BLOCK: "a block before or at its place does not exist",
}


class NumbaModel:
    """A `StepModel`; what a token gets is bitwise the same with any other tokens and any thread count.

    Parameters
    ----------
    weights
        Packed; see `NumbaModel.load`.
    n_blocks, block_size
        The KV cache; `block_size` is a multiple of 16.
    kv
        "fp32" or "int8".
    threads
        How many run a step.

    Raises
    ------
    ParamError
        A parameter that cannot be used, by name.
    """

    def __init__(
        self,
        weights: PackedWeights,
        *,
        n_blocks: int,
        block_size: int = BLOCK_SIZE,
        kv: str = "fp32",
        threads: int = 1,
    ) -> None:
        if n_blocks < 1:
            raise ParamError("n_blocks", n_blocks, "be at least 1")
        if block_size < 1 or block_size % PLACES:
            raise ParamError("block_size", block_size, f"be a multiple of {PLACES}")
        if kv not in ("fp32", "int8"):
            raise ParamError("kv", kv, "be 'fp32' or 'int8'")
        self._config, self._n_blocks, self._block_size = weights.config, n_blocks, block_size
        self._weights: PackedWeights | None = weights
        self._shape = _shape(weights, _KINDS[kv], block_size)
        self._addresses = _addresses(weights)
        config = weights.config
        places = (n_blocks, config.n_layers, 2, config.n_kv_heads, block_size)
        kind = np.float32 if kv == "fp32" else np.int8
        # Zeros: the padding of heads is read, and must not be what the memory held before.
        self._kv = np.zeros((*places, self._shape.head_padded), kind)
        self._kv_steps = np.zeros(places if kv == "int8" else (n_blocks, 0), np.float32)
        self._cache = shapes.Cache(self._kv.ctypes.data, self._kv_steps.ctypes.data)
        self._frequencies = frequencies(config)
        self._crew = Crew(threads)  # last: what fails above leaves no threads behind
        self._buffers = Buffers(self._shape, threads)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        weights: str = "fp32",
        n_blocks: int,
        block_size: int = BLOCK_SIZE,
        kv: str = "fp32",
        threads: int = 1,
    ) -> NumbaModel:
        """Read a Hugging Face folder.

        Parameters
        ----------
        weights
            "fp32", "int8" or "int4".

        Raises
        ------
        CheckpointError, ParamError, MemoryPlanError
            What cannot be read; a parameter that cannot be used; more than fits into the memory there is.
        """
        precision: Precision = check_precision("weights", weights)
        checkpoint = Checkpoint(folder)
        check_blocks(checkpoint.config, n_blocks, block_size, weights=weights, kv=kv)
        packed = load_packed(checkpoint, precision)
        return cls(packed, n_blocks=n_blocks, block_size=block_size, kv=kv, threads=threads)

    @property
    def config(self) -> ModelConfig:
        """The architecture."""
        return self._config

    @property
    def block_size(self) -> int:
        """Tokens a block holds."""
        return self._block_size

    @property
    def n_blocks(self) -> int:
        """Blocks there are."""
        return self._n_blocks

    @property
    def block_bytes(self) -> int:
        """Size of what `read_block` returns."""
        return int(self._kv[0].nbytes + self._kv_steps[0].nbytes)

    @property
    def weight_bytes(self) -> int:
        """Size of the packed matrices; 0 when closed."""
        return 0 if self._weights is None else self._weights.n_bytes

    @property
    def threads(self) -> int:
        """How many run a step."""
        return self._crew.n_threads

    def step(self, batch: StepBatch) -> F32:
        """Run all tokens through the model, and write their keys and values; see `StepModel.step`.

        Raises
        ------
        InputError
            A token, slot, place or block that does not exist; nothing is written then.
        """
        return self._run(batch, None, first=True, last=True)

    def copy_block(self, source: int, target: int) -> None:
        """Copy the keys and values of a whole block, in all layers."""
        self._kv[target] = self._kv[source]
        self._kv_steps[target] = self._kv_steps[source]

    def read_block(self, block: int) -> U8:
        """Return a copy of the bytes (block_bytes,) of a block."""
        parts = (self._kv[block], self._kv_steps[block])
        return np.concatenate([part.reshape(-1).view(np.uint8) for part in parts])

    def write_block(self, block: int, content: U8) -> None:
        """Put back what `read_block` gave: bitwise.

        Raises
        ------
        InputError
            Not `block_bytes` bytes.
        """
        if content.shape != (self.block_bytes,) or content.dtype != np.uint8:
            raise InputError(f"a block is {self.block_bytes} bytes, got {content.shape} of {content.dtype}")
        split = self._kv[block].nbytes
        self._kv[block].reshape(-1).view(np.uint8)[:] = content[:split]
        self._kv_steps[block].reshape(-1).view(np.uint8)[:] = content[split:]

    def close(self) -> None:
        """End the threads and let the memory go; a second call does nothing."""
        self._crew.close()
        self._weights = None
        self._kv, self._kv_steps = np.empty((0, 0), self._kv.dtype), np.empty((0, 0), np.float32)

    def _run(self, batch: StepBatch, x: F32 | None, *, first: bool, last: bool) -> F32:
        """Run the tokens through the layers there are.

        Parameters
        ----------
        x
            (n, hidden) what earlier layers made; None where `first`, which begins with the ids.
        first, last
            Whether the layers are the model's first, and its last.

        Returns
        -------
        out
            (wanted, vocabulary) logits of the last layers, (n, hidden) of others.
        """
        if self._weights is None:
            raise InputError("the model is closed")
        n, shape = len(batch), self._shape
        runs, wanted = np.empty((n, 2), np.int64), np.empty(n, np.int64)
        n_runs, n_wanted = self._plan(batch, runs, wanted)
        logits = np.empty((n_wanted if last else 0, shape.vocab_padded), np.float32)
        if n == 0:
            return logits[:, : self._config.vocab]
        cosines, sines = angles(self._frequencies, batch.rope_pos)
        work = shapes.Work(
            n=n,
            tokens=batch.tokens.ctypes.data,
            slot=batch.slot.ctypes.data,
            kv_index=batch.kv_index.ctypes.data,
            block_table=batch.block_table.ctypes.data,
            max_blocks=batch.block_table.shape[1],
            cosines=cosines.ctypes.data,
            sines=sines.ctypes.data,
            runs=runs.ctypes.data,
            n_runs=n_runs,
            wanted=wanted.ctypes.data,
            n_wanted=n_wanted,
            logits=logits.ctypes.data,
        )
        buffers, threads = self._buffers.reserve(n, n_wanted), self._crew.n_threads
        stream = self._buffers.stream(n)
        if x is not None:
            stream[:] = 0  # the padding is read
            stream[:, : shape.hidden] = x
        weights, cache = self._addresses, self._cache
        self._everywhere(
            lambda thread: forward(thread, threads, shape, weights, cache, work, buffers, first, last)
        )
        return logits[:, : self._config.vocab] if last else stream[:, : shape.hidden].copy()

    def _everywhere(self, part: Callable[[int], object]) -> None:
        """Run a part in every thread; where one does not get to it, nobody waits for it, and all is over."""

        def guarded(thread: int) -> None:
            try:
                part(thread)
            except BaseException:
                self._buffers.end_waiting()
                raise

        try:
            self._crew.run(guarded)
        except BaseException:
            self._buffers.end_waiting()
            self.close()
            raise

    def _plan(self, batch: StepBatch, runs: I64, wanted: I64) -> tuple[int, int]:
        longest = max(1, QUERIES // (self._config.n_heads // self._config.n_kv_heads))
        n_runs, n_wanted = plan_runs(
            batch.tokens,
            batch.slot,
            batch.kv_index,
            batch.want_logits,
            batch.block_table,
            self._config.vocab,
            self._n_blocks,
            self._block_size,
            longest,
            runs,
            wanted,
        )
        if n_runs < 0:
            raise InputError(f"token {n_wanted} of the step cannot be computed: {_FAULTS[n_runs]}")
        return n_runs, n_wanted


class Buffers:
    """Room for what lies between the phases of a step; grows with the largest step."""

    def __init__(self, shape: shapes.Shape, threads: int) -> None:
        self._shape, self._threads = shape, threads
        self._most = (0, 0)
        self._arrays: dict[str, U8] = {}
        widest = max(shape.hidden_padded, shape.q_padded, shape.mlp_padded)
        size = widest * 4 if shape.kind == shapes.F32 else widest + widest // BLOCK * 8
        self._record_bytes = padded(size, LINE)
        self._n_tasks = padded(shape.n_layers * 8, LINE)

    def reserve(self, n: int, n_wanted: int) -> shapes.Buffers:
        """Addresses of room for a step; the counters are 0."""
        if n > self._most[0] or n_wanted > self._most[1]:
            # By powers of two: a growing batch does not allocate at every step.
            self._most = (1 << (max(n, 1) - 1).bit_length(), 1 << (max(n_wanted, 1) - 1).bit_length())
            self._arrays = {name: aligned_zeros(size) for name, size in self._sizes(*self._most).items()}
        self._arrays["counters"][:] = 0
        at = {name: array.ctypes.data for name, array in self._arrays.items()}
        own_bytes = len(self._arrays["own"]) // self._threads
        return shapes.Buffers(**at, record_bytes=self._record_bytes, own_bytes=own_bytes)

    def end_waiting(self) -> None:
        """Let every thread go on, although not all have come; what they make is worthless."""
        self._arrays["counters"][:8].view(np.int64)[0] = 1 << 62

    def stream(self, n: int) -> F32:
        """Return the residual stream (n, padded width) of the last step that room was reserved for."""
        width = self._shape.hidden_padded
        return self._arrays["x"][: n * width * 4].view(np.float32).reshape(n, width)

    def _sizes(self, n: int, n_wanted: int) -> dict[str, int]:
        shape, record = self._shape, self._record_bytes
        chosen = shape.experts_per_token
        turns = n * max(chosen, 1)
        head = shape.head_padded * 4
        attention = QUERIES * (2 * head + SPAN_BYTES + STATE_BYTES)
        row = max(shape.hidden_padded, shape.q_padded, shape.mlp_padded) * 4
        own = max(attention, TILE * ROWS * 4, row + padded(shape.n_experts, ROWS) * 4)
        return {
            "x": n * shape.hidden_padded * 4,
            "records": max(n, SMALL * self._threads) * record,
            "output_records": n_wanted * self._threads * record,
            "qkv": n * shape.qkv_padded * 4,
            "attended": n * shape.q_padded * 4,
            "gated": turns * shape.mlp_padded * 4,
            "picked": n * chosen * 16,
            "picked_weights": n * chosen * 4,
            "order": (n * chosen + shape.n_experts + 1) * 8,
            "gathered": n * chosen * record,
            "mixed": n * chosen * shape.hidden_padded * 4,
            "own": padded(own, 2 * LINE) * self._threads,
            "counters": LINE + self._threads * LINE + self._n_tasks,
        }


def _shape(weights: PackedWeights, kv_kind: int, block_size: int) -> shapes.Shape:
    config = weights.config
    return shapes.Shape(
        n_layers=config.n_layers,
        hidden=config.hidden,
        hidden_padded=padded(config.hidden, COLUMNS),
        n_heads=config.n_heads,
        n_kv_heads=config.n_kv_heads,
        head=config.head_size,
        head_padded=padded(config.head_size, ROWS),
        q_padded=padded(config.q_width, COLUMNS),
        qkv_padded=padded(config.q_width + 2 * config.kv_width, ROWS),
        mlp_padded=padded(config.mlp, COLUMNS),
        vocab_padded=padded(config.vocab, ROWS),
        n_experts=config.n_experts,
        experts_per_token=config.experts_per_token,
        qk_norm=int(config.qk_norm),
        kind=_KINDS[weights.precision],
        kv_kind=kv_kind,
        block_size=block_size,
        eps=config.norm_eps,
        softmax_scale=config.head_size**-0.5,
    )


def _addresses(weights: PackedWeights) -> shapes.Weights:
    tables = {name: table.ctypes.data for name, table in weights.tables.items()}
    # The two outermost matrices are one each: the address itself.
    whole = {name: int(weights.tables[name][0]) for name in ("embedding", "output")}
    vectors = {name: vector.ctypes.data for name, vector in weights.vectors.items()}
    return shapes.Weights(**(tables | whole | vectors))
