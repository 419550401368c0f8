"""Processors and filters: the goldens one by one, in chains and with ties; the oracle; values by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.sampling import filters, processors
from decoding.sampling.params import SamplingParams
from decoding.sampling.sampler import Sampler
from tests.decoding import goldens
from tests.oracles import sampling as oracle

NAMES_OF_OTHERS = {"min_length", "renormalize_logits"}
"""Parameters of the reference alone: the first is `min_new_tokens` less the prompt, the other a shift."""


def vector(values):
    return np.array([-np.inf if v is None else v for v in values], dtype=np.float32)


def run(logits, prefix, params, eos, prompt_length):
    """All logits after the processors and filters, minus infinity where dropped."""
    mine = {name: value for name, value in params.items() if name not in NAMES_OF_OTHERS}
    if "min_length" in params:
        mine["min_new_tokens"] = max(params["min_length"] - prompt_length, 0)
    settings = {"temperature": 1.0, "max_new_tokens": None} | mine
    sampler = Sampler(SamplingParams(**settings), 0, tuple(eos or ()))
    scores = sampler.process(logits, prefix, prompt_length)
    ids, left = sampler.filter(scores, 1.0)
    full = np.full(len(logits), -np.inf)
    full[ids] = left
    if params.get("renormalize_logits"):
        full -= np.log(np.exp(full - full.max()).sum()) + full.max()
    return full


def agree(got, expected):
    """Same set of minus infinities; the rest within what 7 digits and float32 can hold."""
    want = vector(expected).astype(float)
    np.testing.assert_array_equal(np.isneginf(got), np.isneginf(want))
    kept = np.isfinite(want)
    np.testing.assert_allclose(got[kept], want[kept], rtol=2e-5, atol=2e-5)


def case_params(case):
    params = dict(case["params"])
    eos = params.pop("eos_token_id", None) or case.get("eos_token_id")
    return params, eos, params.pop("prompt_length", case.get("prompt_length"))


@pytest.fixture(scope="module")
def golden():
    return goldens.read("processors")


def test_every_single_step_of_the_goldens(golden):
    assert len(golden["cases"]) == 270
    for case in golden["cases"]:
        params, eos, prompt_length = case_params(case)
        prefix = golden["prefixes"][case["vector"]]
        logits = vector(golden["vectors"][case["vector"]])
        agree(run(logits, prefix, params, eos, prompt_length or len(prefix)), case["expected"])


def test_chains_of_the_goldens(golden):
    for case in golden["chain_cases"]:
        params, eos, prompt_length = case_params(case)
        logits, prefix = vector(golden["vectors"][case["vector"]]), golden["prefixes"][case["vector"]]
        agree(run(logits, prefix, params, eos, prompt_length), case["expected"])


def test_equal_logits_stay_or_go_together(golden):
    for case in golden["tie_cases"]:
        params, eos, _ = case_params(case)
        prefix = golden["ties_prefix"]
        agree(run(vector(golden["ties_vector"]), prefix, params, eos, len(prefix)), case["expected"])


LOGITS = st.lists(st.integers(-40, 40).map(lambda x: x / 4), min_size=1, max_size=30)
SHARES = st.sampled_from([0.03, 0.11, 0.31, 0.57, 0.83, 0.97])


@given(LOGITS, SHARES, st.integers(1, 4))
def test_filters_are_their_definitions(logits, share, least):
    x = np.array(logits)
    pairs = [
        (filters.keep_top_k(x, least), oracle.top_k(logits, least)),
        (filters.keep_top_p(x, share, least), oracle.top_p(logits, share, least)),
        (filters.keep_min_p(x, share, least), oracle.min_p(logits, share, least)),
        (filters.keep_epsilon(x, share, least), oracle.epsilon(logits, share, least)),
        (filters.keep_eta(x, share, least), oracle.eta(logits, share, least)),
        (filters.keep_unlikely(x, share), oracle.xtc(logits, share)),
    ]
    for got, want in pairs:
        assert got.tolist() == want


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=30, unique=True), SHARES, st.integers(1, 4))
def test_typical_is_its_definition(logits, share, least):
    # Without ties: the shifts of equal logits differ in the last bit between the two ways of summing.
    logits = [round(x, 3) for x in logits]
    got, want = filters.keep_typical(np.array(logits), share, least), oracle.typical(logits, share, least)
    probs = oracle.softmax(logits)
    differing = math.fsum(p for p, a, b in zip(probs, got.tolist(), want, strict=True) if a != b)
    assert differing == 0 or len(set(logits)) < len(logits)


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("share", [0.01, 0.4, 0.9, 0.999])
def test_a_large_vocabulary_is_filtered_as_a_small_one(spread, share, monkeypatch):
    logits = np.round(np.random.default_rng(1).normal(0, spread, 5000), 1)
    fast = filters.keep_top_p(logits, share, 3), filters.keep_typical(logits, share, 3)
    monkeypatch.setattr(filters, "HEAD", 10**6)
    whole = filters.keep_top_p(logits, share, 3), filters.keep_typical(logits, share, 3)
    for got, want in zip(fast, whole, strict=True):
        np.testing.assert_array_equal(got, want)


TOKENS = st.lists(st.integers(0, 5), min_size=1, max_size=40)


@given(TOKENS, st.integers(1, 4), st.sets(st.integers(0, 5), max_size=2))
def test_repeats_are_found_as_the_definition_finds_them(prefix, allowed, breakers):
    logits = np.zeros(6, np.float32)
    processors.penalize_repeats(logits, prefix, 0.5, 1.5, allowed, frozenset(breakers))
    longest = oracle.repeats(prefix, 6, breakers)
    for token, length in longest.items():
        want = 0.5 * 1.5 ** (length - allowed) if length >= allowed and token not in breakers else 0.0
        assert logits[token] == pytest.approx(-want, rel=1e-6)


@given(TOKENS, st.integers(1, 4))
def test_ngrams_are_forbidden_as_the_definition_says(prefix, n):
    logits = np.zeros(6, np.float32)
    processors.forbid_ngrams(logits, prefix, n)
    assert set(np.flatnonzero(np.isneginf(logits)).tolist()) == oracle.ngram_banned(prefix, n)


@given(TOKENS, st.sampled_from([0.7, 1.0, 1.8]), st.sampled_from([-0.5, 0.0, 0.25]))
def test_penalties_are_their_definitions(prefix, penalty, frequency):
    start = np.array([3.0, -2.0, 0.0, 1.0, -0.5, 2.0], np.float32)
    got = start.copy()
    processors.penalize_repetition(got, prefix, penalty)
    np.testing.assert_allclose(got, oracle.repetition(start.tolist(), prefix, penalty), rtol=1e-6)
    got = start.copy()
    processors.penalize_counts(got, prefix, frequency, 0.5)
    np.testing.assert_allclose(got, oracle.counts(start.tolist(), prefix, frequency, 0.5), atol=1e-6)


def test_dry_by_hand():
    logits = np.zeros(6, np.float32)
    # "1 2 3" ends the prefix and stood at its beginning, before 4: n = 3, and 2 * 1.75 ** (3 - 2) = 3.5.
    processors.penalize_repeats(logits, [1, 2, 3, 4, 5, 1, 2, 3], 2.0, 1.75, 2)
    assert logits.tolist() == [0, 0, 0, 0, -3.5, 0]


def test_a_long_repetition_does_not_overflow():
    logits = np.zeros(2, np.float32)
    processors.penalize_repeats(logits, [1] * 3000, 1.0, 1.75, 2)
    assert logits[0] == 0
    assert np.isfinite(logits[1])
    assert logits[1] < -1e36


def test_mirostat_keeps_what_surprises_by_no_more_than_mu():
    logits = np.log([0.5, 0.25, 0.125, 0.125])
    assert filters.keep_surprise(logits, 2.1).tolist() == [True, True, False, False]
    assert filters.keep_surprise(logits, -1.0).tolist() == [True, False, False, False]
