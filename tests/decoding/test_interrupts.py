"""Ctrl-C acts between steps; what another handler interrupts is closed, and says so."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

from decoding import numba_model
from decoding.config import ModelConfig
from decoding.crew import Crew, CrewError
from decoding.engine import Engine
from decoding.errors import InputError
from decoding.interrupts import blocked, deferred
from decoding.numba_model import NumbaModel
from decoding.pipeline import PipelineModel, StageError
from decoding.sampling.params import SamplingParams
from decoding.step import StepBatch
from forecast.kernels._jit import COMPILED
from tests.decoding import checkpoints

compiled = pytest.mark.skipif(not COMPILED, reason="instructions of the CPU, not of Python")

FREE = SamplingParams(max_new_tokens=12, ignore_eos=True)


@pytest.fixture(autouse=True)
def keyboard():
    """Let SIGINT raise, also where whoever runs the tests has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoints.write(tmp_path_factory.mktemp("m"))


def test_a_signal_waits_for_the_end_of_the_block_and_comes_once():
    done = []

    def work():
        with deferred():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_nothing_would_be_raised_nothing_is_changed():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    seen = []

    def elsewhere():
        with deferred():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_IGN]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no masks")
def test_a_blocked_signal_is_not_lost():
    done = []

    def work():
        with blocked():
            signal.raise_signal(signal.SIGINT)
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]


@compiled
@pytest.mark.parametrize("threads", [1, 2])
def test_an_engine_goes_on_after_ctrl_c(folder, monkeypatch, threads):
    with Engine(NumbaModel.load(folder, n_blocks=8, threads=threads), share_prefixes=False) as engine:
        good = engine.generate([5, 6, 7], FREE)[0].token_ids
        run, steps = Crew.run, []

        def interrupted(self, work):
            def work_and_signal(index):
                work(index)
                steps.append(index)
                if index == 0 and len(steps) > 3 * threads:
                    signal.raise_signal(signal.SIGINT)

            run(self, work_and_signal)

        monkeypatch.setattr(Crew, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.generate([5, 6, 7], FREE)
        assert engine.scheduler.idle
        monkeypatch.undo()
        assert engine.generate([5, 6, 7], FREE)[0].token_ids == good


def test_a_crew_that_was_interrupted_is_not_used_again():
    crew, meeting = Crew(2), threading.Event()

    def work(index):
        if index == 0:
            raise KeyboardInterrupt
        meeting.wait(20)

    with pytest.raises(KeyboardInterrupt):
        crew.run(work)
    with pytest.raises(CrewError, match="interrupted at their work"):
        crew.run(lambda _: None)
    meeting.set()
    crew.close()


class Counter:
    """A stage that adds one; what it gives is larger than a pipe holds."""

    block_bytes = 4

    def __init__(self, layers):
        self.blocks = [np.zeros(4, np.uint8)]

    def run(self, batch, x):
        return np.full((1, 100_000), len(batch) if x is None else x[0, 0] + 1, np.float32)

    def read_block(self, block):
        return self.blocks[block]

    def write_block(self, block, content):
        self.blocks[block] = content

    def close(self):
        pass


def batch_of(n):
    zeros = np.zeros(n, np.int32)
    return StepBatch(zeros, zeros, zeros, zeros, zeros == 0, np.zeros((1, 1), np.int32))


@pytest.mark.parametrize("how", ["step", "read_block", "write_block"])
def test_a_pipeline_that_was_interrupted_gives_no_old_answer(folder, monkeypatch, how):
    config = ModelConfig.from_folder(folder)
    model = PipelineModel(Counter, config, 2, n_blocks=1, block_size=4)
    for process in model._processes:  # a terminal sends Ctrl-C to all
        os.kill(process.pid, signal.SIGINT)
    assert model.step(batch_of(3))[0, 0] == 4
    processes = model._processes

    def interrupted(self, source):
        raise KeyboardInterrupt

    monkeypatch.setattr(PipelineModel, "_answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        {"step": lambda: model.step(batch_of(5)), "read_block": lambda: model.read_block(0),
         "write_block": lambda: model.write_block(0, np.zeros(8, np.uint8))}[how]()  # fmt: skip
    monkeypatch.undo()
    assert not any(process.is_alive() for process in processes)
    with pytest.raises(StageError, match="closed"):
        model.step(batch_of(7))


@compiled
@pytest.mark.parametrize("where", [0, 1])
def test_a_thread_that_does_not_come_is_not_waited_for(folder, monkeypatch, where):
    model = NumbaModel.load(folder, n_blocks=2, threads=2)
    model.step(batch_of(1))
    whole, raised = numba_model.forward, []

    def failing(thread, *rest):
        if thread == where:
            raise KeyboardInterrupt if where == 0 else MemoryError
        whole(thread, *rest)

    def run():
        try:
            model.step(batch_of(1))
        except BaseException as error:
            raised.append(type(error))

    monkeypatch.setattr(numba_model, "forward", failing)
    thread = threading.Thread(target=run, daemon=True)  # a wait for ever is to fail the test, not to hang it
    thread.start()
    thread.join(20)
    assert raised == [KeyboardInterrupt if where == 0 else MemoryError]
    with pytest.raises(InputError, match="the model is closed"):
        model.step(batch_of(1))
