"""Every parameter that cannot be used is named."""

from __future__ import annotations

import dataclasses
import math

import pytest

from decoding.errors import ParamError
from decoding.sampling import params as module
from decoding.sampling.params import SamplingParams

BAD = {
    "max_new_tokens": [0, -1, 1.5, "8", True],
    "min_new_tokens": [-1, 0.5, None, 129],
    "temperature": [-0.1, math.nan, math.inf, "hot", 1e-7, False],
    "top_k": [-1, 2.5],
    "top_p": [0, 1.1, math.nan],
    "min_p": [-0.1, 1.1],
    "typical_p": [0, 1.5],
    "epsilon_cutoff": [-1, 1],
    "eta_cutoff": [-1, 1],
    "min_tokens_to_keep": [0],
    "repetition_penalty": [0, -1, math.inf, 1e-300, 1e38, 1e300],
    "frequency_penalty": [math.nan, "a"],
    "presence_penalty": [math.inf, 1e300],
    "no_repeat_ngram_size": [-1],
    "dry_multiplier": [-1],
    "dry_base": [0.5],
    "dry_allowed_length": [0],
    "dry_range": [0],
    "dry_sequence_breakers": [[""], 3],
    "xtc_probability": [-0.1, 1.1, 0.5],
    "xtc_threshold": [0, 1.1],
    "mirostat_tau": [-1, 5.0],
    "mirostat_eta": [0, 2],
    "logit_bias": [{-1: 1.0}, {1: math.nan}, {1: math.inf}, {1: -1e308}, {1: 10**400}, [1]],
    "sequence_bias": [[([], 1.0)], [([1], math.nan)], [([1], 1e308)], [(b"a", 1.0)], [1]],
    "bad_words_ids": [[[]], [[-1]], [1]],
    "suppress_tokens": [[-1], "ab"],
    "exponential_decay_length_penalty": [(1,), (-1, 1.1), (1, 0), (1, 1e300), 3],
    "seed": [-1, 2**64, 1.0],
    "stop": ["", [""], [1], 5],
    "stop_token_ids": [[-1], 3, b"x"],
    "ignore_eos": [1],
    "include_stop": ["no"],
    "logprobs": [-1, 101],
    "deadline_s": [0, -1, math.inf],
    "skip_special_tokens": [None],
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_value_is_named(name):
    for value in BAD[name]:
        with pytest.raises(ParamError, match=rf"\b{name} must") as caught:
            SamplingParams(**{name: value})
        assert caught.value.name == name


@pytest.mark.parametrize("name", sorted(module._FLOATS | {"deadline_s"}))
def test_a_whole_number_beyond_all_floats_is_named(name):
    with pytest.raises(ParamError, match=rf"\b{name} must"):
        SamplingParams(**{name: 10**400})


def test_every_parameter_has_a_rule_and_a_test():
    fields = {field.name for field in dataclasses.fields(SamplingParams)}
    assert fields == set(BAD) == set(module._RULES)
    assert all(f"{name}" in SamplingParams.__doc__ for name in fields)


def test_mirostat_takes_no_filters():
    with pytest.raises(ParamError, match="top_k must be off with mirostat"):
        SamplingParams(temperature=1.0, mirostat_tau=3.0, top_k=5)


def test_defaults_are_greedy_and_one_stop_text_needs_no_list():
    assert SamplingParams().greedy
    assert SamplingParams(stop="end").stop_strings == ("end",)
