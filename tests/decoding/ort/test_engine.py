"""The engine on ONNX Runtime answers as the goldens and our own kernels do, however the work is cut."""

from __future__ import annotations

import sys

import pytest

from decoding.engine import Engine
from decoding.numba_model import NumbaModel
from decoding.ort import OrtModel
from decoding.sampling.params import SamplingParams
from tests.decoding import goldens

# Where the two largest logits are closer, rounding chooses.
GAP = 1e-4
CUTS = {
    "one at a time": {"max_batch": 1},
    "batched": {"max_batch": 6},
    "chunked": {"max_batch": 6, "token_budget": 7},
    "two threads": {"max_batch": 6, "token_budget": 20, "threads": 2},
    "preempted": {"max_batch": 6, "n_blocks": 14, "share_prefixes": False},
    "spilled": {"max_batch": 6, "n_blocks": 14, "spill_blocks": 20},
}


def engine_of(cls, name, *, n_blocks=80, threads=1, weights="fp32", **settings):
    model = cls.load(goldens.model(name), weights=weights, n_blocks=n_blocks, block_size=16, threads=threads)
    return Engine(model, **settings)


def excused(found, expected, margins):
    """Whether the answers are equal up to where rounding may choose."""
    pairs = enumerate(zip(found, expected, strict=True))
    first = next((i for i, (a, b) in pairs if a != b), None)
    assert first is None or margins[first] < GAP, f"token {first} differs at a gap of {margins[first]}"
    return first is not None


@pytest.mark.shared
@pytest.mark.parametrize("name", goldens.MODELS)
def test_greedy_answers_are_those_of_the_goldens_and_of_our_kernels(name):
    cases = goldens.read("greedy")["models"][name]["cases"]
    prompts = [case["tokens"] for case in cases]
    params = SamplingParams(max_new_tokens=64, ignore_eos=True)
    with engine_of(NumbaModel, name) as engine:
        native = [output.token_ids for output in engine.generate(prompts, params)]
    n_excused = n_compared = 0
    for cut, settings in CUTS.items():
        with engine_of(OrtModel, name, **settings) as engine:
            for again in (False, True):  # the second time, beginnings are there already
                outputs = engine.generate(prompts, params)
                for output, case, ours in zip(outputs, cases, native, strict=True):
                    n_compared += 2
                    n_excused += excused(output.token_ids, case["new_tokens"], case["margins"])
                    n_excused += excused(output.token_ids, ours, case["margins"])
                if again and cut == "batched":
                    assert outputs[-1].stats.cached_tokens == len(prompts[-1]) - 1
            if cut in ("preempted", "spilled"):
                assert sum(output.stats.preemptions for output in outputs) > 0
            if cut == "spilled":
                assert engine.cache.stats.restored_blocks > 0
    sys.stdout.write(f"{name}: {n_excused} of {n_compared} answers differ at a gap below {GAP}\n")


@pytest.mark.shared
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_rounded_weights_answer_as_in_our_kernels_where_the_choice_is_clear(weights):
    """Activations become bytes in both, in blocks that rounding can tip: far smaller than a clear gap."""
    cases = goldens.read("greedy")["models"]["llama-tied"]["cases"]
    params = SamplingParams(max_new_tokens=32, ignore_eos=True, logprobs=2)
    answers = []
    for cls in (NumbaModel, OrtModel):
        with engine_of(cls, "llama-tied", weights=weights) as engine:
            answers.append(engine.generate([case["tokens"] for case in cases], params))
    equal = 0
    for ours, theirs in zip(*answers, strict=True):
        for i, (a, b) in enumerate(zip(ours.token_ids, theirs.token_ids, strict=True)):
            if a != b:
                (_, best), (_, second) = ours.logprobs[i].top
                gap = best - second
                assert gap < 0.2, f"token {i} differs at a gap of {gap}"
                break
            equal += 1
    assert equal > 32 * len(cases) / 2
