"""Our own back end gives the same logits, to the last bit, however the work is cut, at every precision."""

from __future__ import annotations

import pytest

from decoding.engine import Engine
from decoding.numba_model import NumbaModel
from decoding.sampling.params import SamplingParams
from tests.decoding import goldens

PRECISIONS = [("fp32", "fp32"), ("int8", "fp32"), ("int4", "int8")]
CUTS = {
    "batched": {"max_batch": 6},
    "chunked": {"max_batch": 6, "token_budget": 7},
    "two threads": {"max_batch": 6, "token_budget": 20, "threads": 2},
    "preempted": {"max_batch": 6, "n_blocks": 14, "share_prefixes": False},
    "spilled": {"max_batch": 6, "n_blocks": 14, "spill_blocks": 20},
}


def engine_of(name, weights, kv, *, n_blocks=80, threads=1, **settings):
    model = NumbaModel.load(
        goldens.model(name), weights=weights, kv=kv, n_blocks=n_blocks, block_size=16, threads=threads
    )
    return Engine(model, **settings)


def requests(name):
    """The golden prompts, greedy and drawn in turn; log-probabilities depend on every logit of a step."""
    prompts = [case["tokens"] for case in goldens.read("greedy")["models"][name]["cases"]]
    params = [
        SamplingParams(max_new_tokens=40, temperature=i % 2, seed=i, ignore_eos=True, logprobs=3)
        for i in range(len(prompts))
    ]
    return prompts, params


@pytest.mark.parametrize(("weights", "kv"), PRECISIONS, ids=[f"{w}-kv-{k}" for w, k in PRECISIONS])
@pytest.mark.parametrize("name", ["llama-tied", "qwen3"])
def test_cut_in_any_way_the_answers_are_the_same_to_the_last_bit(name, weights, kv):
    prompts, params = requests(name)
    with engine_of(name, weights, kv, max_batch=1, share_prefixes=False) as plain:
        expected = [plain.generate(p, s)[0] for p, s in zip(prompts, params, strict=True)]
    for cut, settings in CUTS.items():
        with engine_of(name, weights, kv, **settings) as engine:
            for again in (False, True):  # the second time, beginnings are there already
                got = engine.generate(prompts, params)
                assert [o.token_ids for o in got] == [o.token_ids for o in expected], cut
                assert [o.logprobs for o in got] == [o.logprobs for o in expected], cut
                if again and cut == "batched":
                    assert got[-1].stats.cached_tokens == len(prompts[-1]) - 1
            if cut in ("preempted", "spilled"):
                assert sum(o.stats.preemptions for o in got) > 0
            if cut == "spilled":
                assert engine.cache.stats.restored_blocks > 0


@pytest.mark.parametrize("name", goldens.MODELS)
def test_greedy_answers_are_those_of_the_goldens(name):
    cases = goldens.read("greedy")["models"][name]["cases"]
    with engine_of(name, "fp32", "fp32", max_batch=3, token_budget=16) as engine:
        outputs = engine.generate(
            [case["tokens"] for case in cases], SamplingParams(max_new_tokens=64, ignore_eos=True)
        )
    assert [list(output.token_ids) for output in outputs] == [case["new_tokens"] for case in cases]
