"""Some layers of a model in our own kernels, for one process of several."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from decoding.checkpoint import Checkpoint
from decoding.config import ModelConfig
from decoding.errors import InputError
from decoding.kernels import shapes
from decoding.kernels.stage import forward_stage
from decoding.numba_model import DEFAULT_BLOCK_SIZE, NumbaModel
from decoding.packing import aligned_zeros, load_packed
from decoding.pipeline import PipelineModel
from decoding.quantize import check_precision
from decoding.rotary import angles
from decoding.step import F32, StepBatch


class SomeLayers(Checkpoint):
    """A checkpoint that seems to have certain layers only, counted from 0."""

    def __init__(self, folder: str | Path, layers: range) -> None:
        super().__init__(folder)
        self.config = replace(self.config, n_layers=len(layers))
        self._first = layers.start

    def tensor(self, name: str, shape: tuple[int, ...]) -> F32:
        """Read a tensor by the name that it has in the seeming model."""
        shifted = re.sub(r"(?<=\.layers\.)\d+", lambda found: str(int(found[0]) + self._first), name)
        return super().tensor(shifted, shape)


class NumbaStage(NumbaModel):
    """A `Stage`: what a token gets is bitwise what the whole model gives it.

    Parameters
    ----------
    layers
        Which of the checkpoint's.

    Raises
    ------
    CheckpointError, ParamError
        As for `NumbaModel.load`.
    """

    def __init__(
        self,
        layers: range,
        *,
        folder: str | Path,
        weights: str,
        n_blocks: int,
        block_size: int,
        kv: str,
        threads: int,
    ) -> None:
        n_layers = ModelConfig.from_folder(folder).n_layers
        self._is_first, self._is_last = layers.start == 0, layers.stop == n_layers
        packed = load_packed(SomeLayers(folder, layers), check_precision("weights", weights))
        super().__init__(packed, n_blocks=n_blocks, block_size=block_size, kv=kv, threads=threads)

    def run(self, batch: StepBatch, x: F32 | None) -> F32:
        """Run the tokens through the layers; see `Stage.run`."""
        if self._weights is None:
            raise InputError("the model is closed")
        n, shape = len(batch), self._shape
        if not self._is_last:
            batch = replace(batch, want_logits=np.zeros(n, np.bool_))
        runs, wanted = np.empty((n, 2), np.int64), np.empty(n, np.int64)
        n_runs, n_wanted = self._plan(batch, runs, wanted)
        logits = np.empty((n_wanted, shape.vocab_padded), np.float32)
        stream = aligned_zeros(n * shape.hidden_padded * 4).view(np.float32).reshape(n, shape.hidden_padded)
        if x is not None:
            stream[:, : shape.hidden] = x
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
        buffers = self._buffers.reserve(n, n_wanted)._replace(x=stream.ctypes.data)
        threads, weights, cache = self._crew.n_threads, self._addresses, self._cache
        first, last = self._is_first, self._is_last
        self._crew.run(
            lambda thread: forward_stage(thread, threads, shape, weights, cache, work, buffers, first, last)
        )
        return logits[:, : self._config.vocab] if last else stream[:, : shape.hidden]


def load_pipeline(
    folder: str | Path,
    *,
    n_processes: int,
    weights: str = "fp32",
    n_blocks: int,
    block_size: int = DEFAULT_BLOCK_SIZE,
    kv: str = "fp32",
    threads: int = 1,
) -> PipelineModel:
    """Load a checkpoint's layers into processes, `threads` in each.

    Raises
    ------
    CheckpointError, ParamError, StageError
        What cannot be read; a parameter that cannot be used; what a process found.
    """
    config = ModelConfig.from_folder(folder)
    make = partial(
        NumbaStage,
        folder=folder,
        weights=weights,
        n_blocks=n_blocks,
        block_size=block_size,
        kv=kv,
        threads=threads,
    )
    return PipelineModel(make, config, n_processes, n_blocks=n_blocks, block_size=block_size)
