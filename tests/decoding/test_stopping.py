"""Answers end where the goldens say, and a stream never shows what belongs to a stop text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.detokenizer import Detokenizer
from decoding.output import FinishReason
from decoding.sampling.params import SamplingParams
from decoding.stopping import StopRules
from decoding.tokenizer import Tokenizer
from tests.decoding import goldens


@pytest.fixture(scope="module")
def bpe():
    return Tokenizer(goldens.tokenizer("bpe"))


def follow(tokenizer, ids, eos=(), limit=64, **settings):
    """Push ids until the answer ends; returns (number pushed, stop, text, pieces shown)."""
    params = SamplingParams(skip_special_tokens=False, **settings)
    rules = StopRules(params, limit, eos, Detokenizer(tokenizer, skip_special_tokens=False, at_start=False))
    shown, stop, n = [], None, 0
    for n, token in enumerate(ids, 1):  # noqa: B007  # the count is the result
        stop = rules.push(token)
        shown.append(rules.show())
        if stop is not None:
            break
    return n, stop, rules.text, shown


@pytest.mark.parametrize("model", goldens.MODELS)
def test_stop_texts_end_where_the_goldens_end(bpe, model):
    whole = {case["prompt"]: case["new_tokens"] for case in goldens.read("greedy")["models"][model]["cases"]}
    cases = [c for c in goldens.read("stop")["models"][model]["cases"] if c["kind"] == "stop_strings"]
    assert len(cases) > 40
    for case in cases:
        stops = case["params"]["stop_strings"]
        n, stop, text, shown = follow(bpe, whole[case["prompt"]], stop=stops)
        assert whole[case["prompt"]][:n] == case["new_tokens"]
        assert (stop.reason is FinishReason.STOP) == case["stopped"]
        assert text == case["text_before_stop"] == "".join(shown)
        _, _, text, _ = follow(bpe, whole[case["prompt"]], stop=stops, include_stop=True)
        assert case["text"].startswith(text)
        assert not case["stopped"] or text.endswith(tuple(stops))


def test_end_of_sequence_and_stop_tokens(bpe):
    ids = bpe.encode("a b c d e", add_special_tokens=False)
    n, stop, _, _ = follow(bpe, ids, eos=[ids[2], ids[4]])
    assert (n, stop.reason, stop.by) == (3, FinishReason.EOS, ids[2])
    n, stop, _, _ = follow(bpe, ids, eos=[ids[2]], ignore_eos=True, stop_token_ids=[ids[3]])
    assert (n, stop.reason, stop.by) == (4, FinishReason.STOP, ids[3])
    n, stop, _, _ = follow(bpe, ids, eos=[ids[1]], min_new_tokens=3, limit=5)
    assert (n, stop.reason) == (5, FinishReason.LENGTH)


def test_a_stop_text_before_the_least_length_does_not_count_later(bpe):
    ids = bpe.encode("x;yzx;", add_special_tokens=False)
    n, stop, text, _ = follow(bpe, ids, stop=[";", "a long one that never comes"], min_new_tokens=4)
    assert stop.by == ";"
    assert text == "x;yzx"
    assert n == len(ids)


@given(
    text=st.text("ab;\n é", max_size=30),
    stops=st.lists(st.text("ab;é", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_what_is_shown_is_the_text_before_the_first_stop(bpe, text, stops):
    ids = bpe.encode(text, add_special_tokens=False)
    n, stop, final, shown = follow(bpe, [*ids, 0], eos=[0], stop=stops)
    hits = [at for s in stops if (at := text.find(s)) >= 0]
    if hits:
        # The first to be complete ends the answer: another may begin before it and not have been there yet.
        assert stop.reason is FinishReason.STOP
        assert text.startswith(final + stop.by)
        head = bpe.decode(ids[: n - 1], skip_special_tokens=False)
        assert not any(s in head for s in stops)
    else:
        assert final == text + "<|endoftext|>"
    assert "".join(shown) == final
