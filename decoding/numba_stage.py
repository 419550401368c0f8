"""Some layers of a model in our own kernels, for one process of several."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from decoding.blocks import BLOCK_SIZE
from decoding.checkpoint import Checkpoint
from decoding.config import ModelConfig
from decoding.memory import check_blocks
from decoding.numba_model import NumbaModel
from decoding.packing import load_packed
from decoding.pipeline import PipelineModel
from decoding.quantize import check_precision
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
        return self._run(batch, x, first=self._is_first, last=self._is_last)


def load_pipeline(
    folder: str | Path,
    *,
    n_processes: int,
    weights: str = "fp32",
    n_blocks: int,
    block_size: int = BLOCK_SIZE,
    kv: str = "fp32",
    threads: int = 1,
) -> PipelineModel:
    """Load a checkpoint's layers into processes, `threads` in each.

    Raises
    ------
    CheckpointError, ParamError, MemoryPlanError, StageError
        What cannot be read; a parameter that cannot be used; more than fits into the memory there is; what a
        process found.
    """
    config = ModelConfig.from_folder(folder)
    check_blocks(config, n_blocks, block_size, weights=weights, kv=kv)
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
