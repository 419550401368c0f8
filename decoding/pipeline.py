"""One model in several processes, each with some of the layers, their weights and their KV cache.

Tokens go to all processes, what lies between two layers from one process to the next, logits back from the
last. A step passes through them one after the other: this makes room for a model, not speed.
"""

from __future__ import annotations

import multiprocessing as mp
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import numpy as np

from decoding.config import ModelConfig
from decoding.errors import DecodingError, ParamError
from decoding.interrupts import blocked
from decoding.step import F32, StepBatch
from forecast.types import U8


class Stage(Protocol):
    """Some consecutive layers of a model, with their part of the KV cache."""

    @property
    def block_bytes(self) -> int:
        """Size of what `read_block` returns."""
        ...

    def run(self, batch: StepBatch, x: F32 | None) -> F32:
        """Run the tokens through the layers.

        Parameters
        ----------
        x
            (n, hidden) what the layers before made; None for the first layers, which begin with the ids.

        Returns
        -------
        out
            (n, hidden); of the last layers (wanted, vocabulary) logits.
        """
        ...

    def copy_block(self, source: int, target: int) -> None:
        """Copy a block."""
        ...

    def read_block(self, block: int) -> U8:
        """Return a copy of the bytes of a block."""
        ...

    def write_block(self, block: int, content: U8) -> None:
        """Put back what `read_block` gave."""
        ...

    def close(self) -> None:
        """Let everything go."""
        ...


class StageError(DecodingError):
    """A process of the pipeline failed or died; the model is closed, as after any error within a call."""


class PipelineModel:
    """A `StepModel` over processes.

    Parameters
    ----------
    make
        Makes the stage of a range of layers; called in the new process, so it must pickle.
    config
        The architecture.
    n_processes
        From 1 to the number of layers.
    n_blocks, block_size
        Of the KV cache, as every stage has it.

    Raises
    ------
    ParamError
        More processes than layers, or none.
    StageError
        A stage could not be made.
    """

    def __init__(
        self,
        make: Callable[[range], Stage],
        config: ModelConfig,
        n_processes: int,
        *,
        n_blocks: int,
        block_size: int,
    ) -> None:
        if not 1 <= n_processes <= config.n_layers:
            raise ParamError(
                "n_processes", n_processes, f"lie in [1, {config.n_layers}], the number of layers"
            )
        self.config, self.n_blocks, self.block_size = config, n_blocks, block_size
        self._controls: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._results: Connection | None = None
        with self._closing():
            self._start(make, n_processes)
            self._sizes = [int(self._answer(control)) for control in self._controls]

    def _start(self, make: Callable[[range], Stage], n_processes: int) -> None:
        n_layers = self.config.n_layers
        context = mp.get_context("spawn")  # a fork would copy the threads' locks as they are
        bounds = [i * n_layers // n_processes for i in range(n_processes + 1)]
        for first, last in pairwise(bounds):
            control, theirs = context.Pipe()
            receives, gives = context.Pipe(duplex=False)
            process = context.Process(
                target=_serve, args=(make, range(first, last), theirs, self._results, gives), daemon=True
            )
            self._controls.append(control)
            with blocked():  # Ctrl-C reaches all processes of a terminal; it is for this one alone
                process.start()
                self._processes.append(process)
            for end in (theirs, self._results, gives):
                if end is not None:
                    end.close()
            self._results = receives

    @property
    def block_bytes(self) -> int:
        """Size of a block, the parts of all stages one after the other."""
        return sum(self._sizes)

    def step(self, batch: StepBatch) -> F32:
        """Run all tokens through all stages; see `StepModel.step`."""
        with self._closing():
            self._tell("run", batch)
            return np.asarray(self._answer(self._results), dtype=np.float32)

    def copy_block(self, source: int, target: int) -> None:
        """Copy a block in every stage."""
        self._ask_all("copy_block", source, target)

    def read_block(self, block: int) -> U8:
        """Return a copy of the bytes of a block."""
        return np.concatenate(self._ask_all("read_block", block))

    def write_block(self, block: int, content: U8) -> None:
        """Put back what `read_block` gave."""
        self._require()
        parts = np.split(content, np.cumsum(self._sizes)[:-1])
        with self._closing():
            for control, part in zip(self._controls, parts, strict=True):
                control.send(("write_block", block, part))
            for control in self._controls:
                self._answer(control)

    def close(self) -> None:
        """End the processes; a second call does nothing."""
        for control in self._controls:
            control.close()  # a stage ends when nobody talks to it any more
        if self._results is not None:
            self._results.close()  # or the last would wait for someone to read
        for process in self._processes:
            process.join()
        self._controls, self._processes, self._results = [], [], None

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Close the model where anything is raised: an answer under way would be taken for the next one."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _require(self) -> None:
        if not self._controls:
            raise StageError("the model is closed")

    def _tell(self, *message: object) -> None:
        self._require()
        try:
            for control in self._controls:
                control.send(message)
        except OSError as error:
            raise self._fail(self._last_words()) from error

    def _ask_all(self, *message: object) -> list[Any]:
        with self._closing():
            self._tell(*message)
            return [self._answer(control) for control in self._controls]

    def _answer(self, source: Connection | None) -> Any:  # noqa: ANN401  # what the message was for
        """Wait for an answer, but not for one of a dead process."""
        if source is None:
            raise StageError("the model is closed")
        wait([source, *(process.sentinel for process in self._processes)])
        try:
            kind, content = source.recv() if source.poll() else ("error", self._last_words())
        except EOFError:
            kind, content = "error", self._last_words()
        if kind == "error":
            raise self._fail(content)
        return content

    def _last_words(self) -> str:
        """Find what a process said before it ended, if it did."""
        for control in self._controls:
            try:
                while control.poll():
                    kind, content = control.recv()
                    if kind == "error":
                        return str(content)
            except (EOFError, OSError):
                continue
        return "a process of the pipeline died"

    def _fail(self, reason: str) -> StageError:
        self.close()
        return StageError(reason)


def _serve(
    make: Callable[[range], Stage],
    layers: range,
    control: Connection,
    before: Connection | None,
    after: Connection,
) -> None:
    """Do what one process does: make a stage, and answer until nobody talks to it any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stage = make(layers)
    except Exception as error:  # goes to the caller, who raises it
        with suppress(OSError):  # unless another stage failed first, and nobody listens any more
            control.send(("error", f"layers {layers.start} to {layers.stop - 1}: {error}"))
        return
    with suppress(EOFError, OSError):
        control.send(("done", stage.block_bytes))
        while True:
            name, *arguments = control.recv()
            if name == "run":
                after.send(_run(stage, arguments[0], before))
            else:
                control.send(("done", getattr(stage, name)(*arguments)))
    stage.close()


def _run(stage: Stage, batch: StepBatch, before: Connection | None) -> tuple[str, Any]:
    """Run a step; an error of this stage, or of one before it, goes on to the next in place of numbers."""
    kind, x = ("done", None) if before is None else before.recv()
    if kind == "error":
        return kind, x
    try:
        return "done", stage.run(batch, x)
    except Exception as error:  # goes to the caller, who raises it
        return "error", str(error)
