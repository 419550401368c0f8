"""A model in several processes gives the tokens of one in one."""

from __future__ import annotations

import os
import signal
from functools import partial

import numpy as np
import pytest

from decoding import numba_stage
from decoding.config import ModelConfig
from decoding.engine import Engine
from decoding.errors import MemoryPlanError, ParamError
from decoding.numba_model import NumbaModel
from decoding.numba_stage import load_pipeline
from decoding.pipeline import PipelineModel, StageError
from decoding.sampling.params import SamplingParams
from decoding.step import StepBatch
from tests.decoding import goldens
from tests.oracles.llama import Reference


def make(layers, folder, n_blocks):
    return Reference(folder, n_blocks=n_blocks, block_size=4, layers=layers)


def broken(layers):
    raise ValueError("no weights")


def pipeline(name, n, n_blocks=64):
    folder = goldens.model(name)
    config = ModelConfig.from_folder(folder)
    maker = partial(make, folder=folder, n_blocks=n_blocks)
    return PipelineModel(maker, config, n, n_blocks=n_blocks, block_size=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "kv"), [("fp32", "fp32"), ("int4", "int8")], ids=["fp32", "int4-kv-int8"]
)
def test_our_kernels_split_over_processes_give_the_same_logits_to_the_last_bit(weights, kv):
    cases = goldens.read("greedy")["models"]["llama-tied"]["cases"]
    settings = {"weights": weights, "kv": kv, "n_blocks": 20, "block_size": 16}
    models = [
        NumbaModel.load(goldens.model("llama-tied"), **settings),
        load_pipeline(goldens.model("llama-tied"), n_processes=3, threads=2, **settings),
    ]
    params = SamplingParams(max_new_tokens=20, ignore_eos=True, logprobs=2)
    answers = []
    for model in models:
        with Engine(model, max_batch=4, spill_blocks=9) as engine:
            answers.append(engine.generate([case["tokens"] for case in cases], params))
    one, many = ([(o.token_ids, o.logprobs) for o in answer] for answer in answers)
    assert one == many
    assert weights != "fp32" or [list(t) for t, _ in one] == [case["new_tokens"][:20] for case in cases]


def test_what_cannot_fit_is_refused_before_a_process_is_started(monkeypatch):
    monkeypatch.setattr(numba_stage, "PipelineModel", None)
    with pytest.raises(MemoryPlanError):
        load_pipeline(goldens.model("llama-tied"), n_processes=2, n_blocks=10**12)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3])
def test_split_over_processes_the_tokens_are_those_of_the_goldens(n):
    cases = goldens.read("greedy")["models"]["qwen3"]["cases"]
    params = SamplingParams(max_new_tokens=24, ignore_eos=True)
    with Engine(pipeline("qwen3", n, n_blocks=40), spill_blocks=20, max_batch=4) as engine:
        outputs = engine.generate([case["tokens"] for case in cases], params)
        assert engine.cache.stats.restored_blocks > 0  # blocks travel too
    assert [list(o.token_ids) for o in outputs] == [case["new_tokens"][:24] for case in cases]


@pytest.mark.slow
def test_what_goes_wrong_in_a_process_is_said_and_ends_all():
    folder = goldens.model("llama-tied")
    config = ModelConfig.from_folder(folder)
    with pytest.raises(ParamError, match="n_processes must lie in"):
        pipeline("llama-tied", 4)
    with pytest.raises(StageError, match=r"layers \d to \d: no weights"):
        PipelineModel(broken, config, 2, n_blocks=4, block_size=4)
    token = np.zeros(1, np.int32)
    batch = StepBatch(token, token, token, token, token == 0, np.zeros((1, 1), np.int32))
    model = pipeline("llama-tied", 2, n_blocks=4)
    bad = StepBatch(token + 600, token, token, token, token == 0, np.zeros((1, 1), np.int32))
    with pytest.raises(StageError, match="out of bounds"):
        model.step(bad)
    with pytest.raises(StageError, match="closed"):
        model.step(batch)
    model = pipeline("llama-tied", 2, n_blocks=4)
    assert model.step(batch).shape == (1, config.vocab)
    victim = model._processes[0]
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    with pytest.raises(StageError, match="died"):
        model.step(batch)
    model.close()
