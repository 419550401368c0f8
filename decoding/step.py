"""The one contract between the engine and a model: a step over a packed list of tokens.

A step takes any mix of work: pieces of prompts, single next tokens of running requests, drafts to be
verified. Nothing is padded; every token names the sequence it belongs to (its slot) and where it stands
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.config import ModelConfig
from decoding.errors import InputError
from forecast.types import I32, I64, U8, Bool

F32: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class StepBatch:
    """A packed ragged list of n tokens.

    Parameters
    ----------
    tokens
        (n,) ids, each below the vocabulary's size.
    slot
        (n,) rows of `block_table`.
    kv_index
        (n,) where the token stands in its slot's sequence. Its keys and values go to place ``kv_index %
        block_size`` of block ``block_table[slot, kv_index // block_size]``, and it attends to every place
        of its slot up to its own; each of those was written by an earlier step or is written by this one.
    rope_pos
        (n,) position for the rotary embedding; equal to `kv_index` in left-to-right decoding.
    want_logits
        (n,) whose logits are returned.
    block_table
        (slots, max_blocks) blocks of every slot in order; what lies beyond a sequence's end is not looked at.

    Raises
    ------
    InputError
        Arrays of unequal length.
    """

    tokens: I32
    slot: I32
    kv_index: I64
    rope_pos: I32
    want_logits: Bool
    block_table: I32

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=dtype))
        shapes = {name: getattr(self, name).shape for name in _DTYPES if name != "block_table"}
        if set(shapes.values()) != {(len(self.tokens),)}:
            raise InputError(f"a step's arrays must be of one length, got {shapes}")

    def __len__(self) -> int:
        return len(self.tokens)


_DTYPES = {
    "tokens": np.int32,
    "slot": np.int32,
    "kv_index": np.int64,
    "rope_pos": np.int32,
    "want_logits": np.bool_,
    "block_table": np.int32,
}


class StepModel(Protocol):
    """A model with the memory behind its KV cache; what a back end is."""

    @property
    def config(self) -> ModelConfig:
        """The architecture."""
        ...

    @property
    def block_size(self) -> int:
        """Tokens a block holds."""
        ...

    @property
    def n_blocks(self) -> int:
        """Blocks there are, named 0 .. n_blocks - 1."""
        ...

    @property
    def block_bytes(self) -> int:
        """Size of what `read_block` returns."""
        ...

    def step(self, batch: StepBatch) -> F32:
        """Run all tokens through the model, and write their keys and values.

        Returns
        -------
        logits
            (wanted, vocabulary), in the order of the batch; the caller's to keep.
        """
        ...

    def copy_block(self, source: int, target: int) -> None:
        """Copy the keys and values of a whole block, in all layers."""
        ...

    def read_block(self, block: int) -> U8:
        """Return a copy of the bytes (block_bytes,) of a block."""
        ...

    def write_block(self, block: int, content: U8) -> None:
        """Put back what `read_block` gave: bitwise."""
        ...

    def close(self) -> None:
        """End the threads and let the memory go; the model cannot step any more."""
        ...
