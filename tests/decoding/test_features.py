"""The matrix says what is so: everything it has is done, everything it has not is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decoding import features
from decoding.engine import Engine
from decoding.errors import ParamError, UnsupportedError
from decoding.features import BACKENDS, FEATURES, require, table
from decoding.loading import check_feature
from decoding.sampling.params import SamplingParams
from decoding.step import StepBatch
from tests.decoding import goldens
from tests.decoding.checkpoints import write
from tests.decoding.test_numba_model import MIXTRAL

PAGE = Path(__file__).parents[2] / "docs" / "decoding.md"
PARAMS = SamplingParams(max_new_tokens=4, ignore_eos=True, logprobs=3)
PROMPTS = [list(range(3, 50)), list(range(60, 90)), [7]]


def loads(**settings):
    def trial(backend, tmp_path):
        with Engine.load(goldens.model("qwen2"), backend=backend, threads=1, **settings) as engine:
            (output,) = engine.generate([3, 4, 5], PARAMS)
            assert len(output.token_ids) == 4

    return trial


def batches(backend, tmp_path):
    """Requests that come while others run are answered as they are alone; returns whether to the last bit."""
    answers = []
    for max_batch in (1, 3):
        with Engine.load(goldens.model("qwen2"), backend=backend, threads=1, max_batch=max_batch) as engine:
            requests = [engine.submit(PROMPTS[0], PARAMS)]
            engine.step()
            requests += [engine.submit(prompt, PARAMS) for prompt in PROMPTS[1:]]
            most = 0
            while not engine.scheduler.idle:
                engine.step()
                most = max(most, len(engine.scheduler.running))
            assert most == max_batch
            answers.append([request.output() for request in requests])
    alone, together = answers
    assert [output.token_ids for output in together] == [output.token_ids for output in alone]
    return [output.logprobs for output in together] == [output.logprobs for output in alone]


def to_the_last_bit(backend, tmp_path):
    assert batches(backend, tmp_path)


def chunks(backend, tmp_path):
    with Engine.load(
        goldens.model("qwen2"), backend=backend, threads=1, max_batch=2, token_budget=5
    ) as engine:
        request, n_steps = engine.submit(PROMPTS[0], PARAMS), 0
        while not request.n_output:
            engine.step()
            n_steps += 1
    assert n_steps == -(-len(PROMPTS[0]) // 5)


def reuse(backend, tmp_path):
    with Engine.load(goldens.model("qwen2"), backend=backend, threads=1) as engine:
        first, second = (engine.generate(PROMPTS[0], PARAMS)[0] for _ in range(2))
        assert second.stats.cached_tokens == len(PROMPTS[0]) - 1
        assert second.token_ids == first.token_ids


def spills(backend, tmp_path):
    small = {"context": 96, "max_batch": 2, "kv_tokens": 96, "spill_blocks": 8}
    with Engine.load(goldens.model("qwen2"), backend=backend, threads=1, **small) as engine:
        first = engine.generate(PROMPTS[0], PARAMS)[0]
        engine.generate(list(range(200, 280)), PARAMS)
        again = engine.generate(PROMPTS[0], PARAMS)[0]
        assert engine.cache.stats.restored_blocks > 0
        assert again.token_ids == first.token_ids


def mixture(backend, tmp_path):
    with Engine.load(write(tmp_path, **MIXTRAL), backend=backend, threads=1) as engine:
        assert len(engine.generate([3, 4, 5], PARAMS)[0].token_ids) == 4


def shifted(backend, tmp_path):
    """Scores depend on differences of positions: shifted, the logits are the same to rounding."""
    with Engine.load(goldens.model("qwen2"), backend=backend, threads=1) as engine:
        ids, table = np.arange(3, 20), np.array([[0]], np.int32)
        places, wanted = np.arange(17), np.ones(17, bool)
        plain, moved = (
            engine.model.step(StepBatch(ids, ids * 0, places, places + by, wanted, table)) for by in (0, 7)
        )
        assert 0 < np.abs(plain - moved).max() < 1e-4


def exports(backend, tmp_path):
    require(backend, "export to ONNX")
    from decoding.ort import export

    assert export(goldens.model("qwen2"), tmp_path / "graph").is_file()


TRIALS = {
    "weights fp32": loads(weights="fp32"),
    "weights int8": loads(weights="int8"),
    "weights int4": loads(weights="int4"),
    "kv fp32": loads(kv="fp32"),
    "kv int8": loads(kv="int8"),
    "continuous batching": batches,
    "chunked prefill": chunks,
    "prefix reuse": reuse,
    "spill to a file": spills,
    "rope_pos apart from kv_index": shifted,
    "mixture of experts": mixture,
    "layers over processes": loads(processes=2),
    "export to ONNX": exports,
}
# Nobody can ask for these: they say how an answer comes about, and have tests of their own.
QUALITIES = {"prefix reuse without a copy", "equal to the last bit"}


@pytest.mark.shared
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("feature", TRIALS)
def test_what_is_there_works_and_what_is_not_is_refused(tmp_path, feature, backend):
    reason = FEATURES[feature][backend]
    if not reason:
        TRIALS[feature](backend, tmp_path)
        return
    with pytest.raises(UnsupportedError, match=f"{backend} back end has no {feature}: ") as caught:
        TRIALS[feature](backend, tmp_path)
    assert reason in str(caught.value)
    assert all(other in str(caught.value) for other in BACKENDS if not FEATURES[feature][other])


def test_every_feature_is_tried():
    assert set(TRIALS) | QUALITIES == set(FEATURES)
    assert not set(TRIALS) & QUALITIES


@pytest.mark.shared
def test_our_own_kernels_are_equal_to_the_last_bit(tmp_path):
    to_the_last_bit("numba", tmp_path)


def test_every_back_end_is_judged_on_every_feature():
    assert all(set(held) == set(BACKENDS) for held in FEATURES.values())


def test_unknown_names_are_named():
    with pytest.raises(ParamError, match="backend must be one of numba, ort; did you mean 'numba'"):
        require("nunba", "kv int8")
    with pytest.raises(ParamError, match="weights must be one of fp32, int8, int4"):
        check_feature("numba", "weights int5")
    with pytest.raises(ParamError, match="kv must be one of"):
        check_feature("numba", "kv fp16")


def test_the_page_holds_the_printed_matrix():
    assert table() in PAGE.read_text(encoding="utf-8")


def test_the_table_numbers_its_reasons():
    lines = features.table().splitlines()
    reasons = [line for line in lines if line[:1].isdigit()]
    assert [line.split(".")[0] for line in reasons] == [str(n + 1) for n in range(len(reasons))]
    assert sum(line.count("no (") for line in lines) == len(reasons)
