"""The back end of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from decoding.blocks import BLOCK_SIZE
from decoding.checkpoint import Checkpoint
from decoding.config import ModelConfig
from decoding.errors import InputError, ParamError
from decoding.features import require
from decoding.memory import available_bytes, plan_memory
from decoding.ort.buckets import Bucket
from decoding.ort.graph import Graph, check_shape
from decoding.ort.pieces import Piece, waves
from decoding.ort.session import Session
from decoding.ort.slots import Slots
from decoding.quantize import check_precision
from decoding.step import F32, StepBatch
from forecast.types import I64, U8, Bool


class OrtModel:
    """A `StepModel`; next tokens of many slots run as one batch, prompts one after the other.

    The last digits of a logit depend on what else is in the step: the operators choose their loops by the
    number of rows.

    Parameters
    ----------
    session
        See `OrtModel.load`.
    n_blocks, block_size
        The KV cache, as the engine counts it.
    positions
        For how many the graph has rotary angles.
    """

    def __init__(
        self, config: ModelConfig, session: Session, *, n_blocks: int, block_size: int, positions: int
    ) -> None:
        self._config, self._n_blocks, self._block_size = config, n_blocks, block_size
        self._session: Session | None = session
        self._slots = Slots(config, n_blocks, block_size)
        self._positions = positions

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
    ) -> OrtModel:
        """Read a Hugging Face folder, and write its graph into memory.

        Parameters
        ----------
        weights
            "fp32", "int8" or "int4".
        kv
            "fp32".

        Raises
        ------
        CheckpointError, ParamError, UnsupportedError, MemoryPlanError
            What cannot be read; a parameter that cannot be used; what the graph has no operators for; more
            than fits into the memory there is.
        """
        precision = check_precision("weights", weights)
        for name, value in (("n_blocks", n_blocks), ("block_size", block_size), ("threads", threads)):
            if value < 1:
                raise ParamError(name, value, "be at least 1")
        if kv not in ("fp32", "int8"):
            raise ParamError("kv", kv, "be 'fp32' or 'int8'")
        require("ort", f"kv {kv}")
        checkpoint = Checkpoint(folder)
        check_shape(checkpoint.config, precision)
        tokens = n_blocks * block_size
        plan = plan_memory(checkpoint.config, weights=weights, kv=kv, context=tokens)
        # The session keeps its own order of the matrices beside the one it was given.
        replace(plan, weights=2 * plan.weights).check(available_bytes())
        positions = min(tokens, checkpoint.config.context)
        graph = Graph(checkpoint, precision, positions)
        session = Session(checkpoint.config, graph.model("packed"), graph.tensors, threads)
        return cls(checkpoint.config, session, n_blocks=n_blocks, block_size=block_size, positions=positions)

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
        return self._slots.block_bytes

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights that a token reads, and of the rotary angles; 0 when closed."""
        return 0 if self._session is None else self._session.weight_bytes

    def step(self, batch: StepBatch) -> F32:
        """Run all tokens through the model, and write their keys and values; see `StepModel.step`.

        Raises
        ------
        InputError
            A token, slot, place or block that does not exist; nothing is written then.
        UnsupportedError
            A `rope_pos` that is not the place; nothing is written either.
        """
        if self._session is None:
            raise InputError("the model is closed")
        self._check(batch)
        n_wanted = int(batch.want_logits.sum())
        out = np.empty((n_wanted, self._config.vocab), np.float32)
        target = np.cumsum(batch.want_logits) - 1
        for wave in waves(batch):
            for piece in wave:
                table = batch.block_table[piece.slot]
                self._slots.bring(piece.slot, table, piece.start, piece.start + len(piece.at))
            for bucket, row, at in self._runs(wave):
                wanted = np.flatnonzero(batch.want_logits[at])
                starts = batch.kv_index[at[:, 0]]
                logits = self._session.run(bucket, row, batch.tokens[at].astype(np.int64), starts, wanted)
                rows = target[at.reshape(-1)[wanted]]
                if len(rows) == n_wanted and (rows[1:] > rows[:-1]).all():
                    out = logits  # all there are, in order
                else:
                    out[rows] = logits
        return out

    def copy_block(self, source: int, target: int) -> None:
        """Copy the keys and values of a whole block, in all layers."""
        self._slots.write(target, self._slots.read(source))

    def read_block(self, block: int) -> U8:
        """Return a copy of the bytes (block_bytes,) of a block."""
        return self._slots.as_bytes(block)

    def write_block(self, block: int, content: U8) -> None:
        """Put back what `read_block` gave: bitwise.

        Raises
        ------
        InputError
            Not `block_bytes` bytes.
        """
        if content.shape != (self.block_bytes,) or content.dtype != np.uint8:
            raise InputError(f"a block is {self.block_bytes} bytes, got {content.shape} of {content.dtype}")
        self._slots.from_bytes(block, content)

    def close(self) -> None:
        """End the threads and let the memory go; a second call does nothing."""
        self._session = None
        self._slots = Slots(self._config, 0, self._block_size)

    def _runs(self, wave: list[Piece]) -> Iterator[tuple[Bucket, int, I64]]:
        """Bucket, first row and (rows, tokens) indices into the batch of what can run at once."""
        buckets = self._slots.buckets
        together: dict[int, dict[int, Piece]] = {}
        for piece in wave:
            bucket = buckets.bucket(piece.slot)
            if len(piece.at) == 1:
                together.setdefault(bucket.length, {})[piece.slot] = piece
            else:
                yield bucket, bucket.slots.index(piece.slot), piece.at[None]
        for pieces in together.values():
            row, order = buckets.gather(list(pieces))
            yield buckets.bucket(order[0]), row, np.stack([pieces[slot].at for slot in order])

    def _check(self, batch: StepBatch) -> None:
        slots, max_blocks = batch.block_table.shape
        most = min(max_blocks * self._block_size, self._positions)
        bad_token = (batch.tokens < 0) | (batch.tokens >= self._config.vocab)
        _refuse(bad_token, "its id is outside the vocabulary")
        _refuse((batch.slot < 0) | (batch.slot >= slots), "its slot has no row in the block table")
        _refuse(
            (batch.kv_index < 0) | (batch.kv_index >= most),
            "its place is outside the block table or the context",
        )
        if (batch.rope_pos != batch.kv_index).any():
            require("ort", "rope_pos apart from kv_index")
        missing = (batch.block_table < 0) | (batch.block_table >= self._n_blocks)
        ends = batch.kv_index // self._block_size
        first = np.where(missing.any(axis=1), missing.argmax(axis=1), max_blocks)
        _refuse(first[batch.slot] <= ends, "a block before or at its place does not exist")


def _refuse(bad: Bool, why: str) -> None:
    if bad.any():
        raise InputError(f"token {int(bad.argmax())} of the step cannot be computed: {why}")
