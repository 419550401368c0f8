"""One bad request, one failed call: the others are answered, and the engine goes on."""

from __future__ import annotations

import gc
from fractions import Fraction

import numpy as np
import pytest

from decoding.engine import Engine
from decoding.errors import InputError, ParamError, PromptError
from decoding.output import FinishReason
from decoding.sampling.params import SamplingParams
from decoding.sampling.sampler import Sampler
from decoding.tokenizer import Tokenizer
from tests.decoding import checkpoints, goldens
from tests.oracles.llama import Reference

FREE = SamplingParams(max_new_tokens=6, ignore_eos=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoints.write(tmp_path_factory.mktemp("m"))


@pytest.fixture
def engine(folder):
    with Engine(Reference(folder, n_blocks=16, block_size=4), max_batch=2) as engine:
        yield engine


def holds_nothing(engine):
    scheduler = engine.scheduler
    return (
        scheduler.idle
        and len(scheduler._slots) == len(scheduler.block_table)
        and engine.cache.n_available == len(engine.cache.pool)
    )


def test_whatever_goes_wrong_with_a_token_ends_its_request_alone(engine, monkeypatch):
    good = engine.generate([[9, 9]], FREE)[0].token_ids
    sample = Sampler.sample

    def failing(self, logits, prefix, prompt_length):
        if prefix[0] == 5:
            raise OverflowError("too far")
        return sample(self, logits, prefix, prompt_length)

    monkeypatch.setattr(Sampler, "sample", failing)
    bad, mate = engine.generate([[5], [9, 9]], FREE)
    assert (bad.finish_reason, bad.error) == (FinishReason.FAILED, "OverflowError: too far")
    assert mate.token_ids == good
    assert holds_nothing(engine)


@pytest.mark.parametrize(
    "asked",
    [
        {"temperature": 1.0, "seed": np.int64(2)},
        {"temperature": Fraction(1, 3), "seed": 1},
        {"temperature": 1.0, "seed": 1, "eta_cutoff": Fraction(1, 3)},
        {"frequency_penalty": 10**30},
        {"frequency_penalty": -(10**30), "presence_penalty": 1e30, "repetition_penalty": 1e6},
        {"repetition_penalty": 1e-6, "logit_bias": {3: 1e30, 4: -1e30, 5: -np.inf}},
        {"exponential_decay_length_penalty": (0, 1e30)},
        {"dry_multiplier": 1e30, "dry_base": 1e30, "dry_allowed_length": 1, "dry_sequence_breakers": ()},
    ],
    ids=str,
)
def test_numbers_of_every_kind_and_size_are_taken(engine, asked):
    assert engine.generate([[5, 6]], SamplingParams(max_new_tokens=20, **asked))[0].error is None


def test_a_long_excess_is_no_overflow(engine):
    params = SamplingParams(max_new_tokens=30, exponential_decay_length_penalty=(0, 1e20))
    assert engine.generate([[5, 6]], params)[0].error is None  # (1e20) ** 16 is more than a float holds


def test_parameters_are_those_of_their_submission(engine):
    bias, stops = {5: 1.0}, [7]
    params = SamplingParams(logit_bias=bias, stop_token_ids=stops, max_new_tokens=4)
    bias[99999], stops[0] = 1.0, 99999
    assert (params.logit_bias, params.stop_token_ids) == ({5: 1.0}, (7,))


def test_ends_of_sequence_outside_the_vocabulary_are_refused(folder):
    for token in (-1, 83, 1.5, True):
        with pytest.raises(ParamError, match="eos_ids must"):
            Engine(Reference(folder, n_blocks=4, block_size=4), eos_ids=[token])


@pytest.mark.parametrize("failing", ["copy_block", "read_block", "write_block"])
def test_a_block_that_cannot_be_copied_leaves_nothing_behind(folder, monkeypatch, failing):
    with Engine(Reference(folder, n_blocks=6, block_size=4), max_batch=2, spill_blocks=8) as engine:
        prompts = [list(range(5, 22)), list(range(30, 48)), list(range(5, 20))]
        good = [engine.generate([prompt], FREE)[0].token_ids for prompt in prompts]

        contexts = []

        def broken(self, *_):
            raise MemoryError("once")

        for prompt in (*prompts, [5, 6, 7, 8, 9, 10, 80]):
            monkeypatch.setattr(Reference, failing, broken)
            try:
                engine.generate([prompt, [9, 9]], FREE)
            except MemoryError as error:
                contexts.append(error.__context__)
            monkeypatch.undo()
            assert holds_nothing(engine)
        assert set(contexts) == {None}  # nothing else went wrong on the way
        assert [engine.generate([prompt], FREE)[0].token_ids for prompt in prompts] == good


def test_a_request_of_another_engine_is_not_touched(engine, folder):
    with Engine(Reference(folder, n_blocks=8, block_size=4)) as other:
        request = other.submit([5, 6], FREE)
        other.step()
        with pytest.raises(InputError, match="its own engine only"):
            engine.abort(request)
        other.abort(request)
        engine.abort(request)  # it has ended: nothing is left to do
        assert holds_nothing(other)


def test_a_stream_that_is_closed_or_dropped_before_its_first_piece_leaves_nothing(engine):
    engine.stream([[5, 6], [7]], FREE).close()
    assert holds_nothing(engine)
    engine.stream([5, 6], FREE)
    gc.collect()
    assert holds_nothing(engine)
    stream = engine.stream([[5, 6]], FREE)
    next(stream)
    stream.close()
    assert list(stream) == []
    assert holds_nothing(engine)


NO_PROMPTS = [
    *(None, 1, 1.5, b"abc", bytearray(b"a"), {1, 2}, {1: 2}, object()),
    *(np.zeros(2), np.array([True]), [True], [1.0], [1, "a"]),
]
NO_LISTS = [
    None,
    5,
    {1, 2},
    (i for i in [1]),
    [1.0, 2],
    b"abc",
    [True],
    {1: 2},
    range(0),
    np.zeros((1, 1, 1)),
]


@pytest.mark.parametrize("bad", NO_PROMPTS, ids=range(len(NO_PROMPTS)))
def test_what_is_no_prompt_is_refused_alone(engine, bad):
    first, refused, last = engine.generate([[5, 6], bad, [5, 6]], FREE)
    assert refused.finish_reason is FinishReason.REFUSED
    assert "a prompt must be a text or a list of token ids" in refused.error
    assert first.token_ids == last.token_ids != ()
    with pytest.raises(PromptError):
        engine.submit(bad)
    assert holds_nothing(engine)


@pytest.mark.parametrize("bad", NO_LISTS, ids=range(len(NO_LISTS)))
def test_what_are_no_prompts_raises_and_takes_nothing(engine, bad):
    with pytest.raises(PromptError):
        engine.generate(bad, FREE)
    assert holds_nothing(engine)


def test_every_kind_of_ids_is_one_prompt(engine):
    want = engine.generate([[5, 6, 7]], FREE)[0].token_ids
    for prompt in ([5, 6, 7], (5, 6, 7), range(5, 8), np.array([5, 6, 7]), [np.int64(5), 6, 7]):
        (output,) = engine.generate(prompt, FREE)
        assert output.token_ids == want
    assert [o.token_ids for o in engine.generate(np.array([[5, 6, 7]] * 2), FREE)] == [want, want]


@pytest.mark.parametrize("params", ["x", 5, [5, FREE], [{}, None], {}])
def test_parameters_of_the_wrong_kind_are_refused(engine, params):
    with pytest.raises(InputError, match="params must be SamplingParams"):
        engine.generate([[5], [6]], params)
    assert holds_nothing(engine)


def test_what_was_queued_is_given_up_when_a_later_prompt_raises(engine, monkeypatch):
    submit = engine.submit

    def failing(prompt, params):
        if prompt == [7]:
            raise MemoryError
        return submit(prompt, params)

    monkeypatch.setattr(engine, "submit", failing)
    with pytest.raises(MemoryError):
        engine.generate([[5], [7]], FREE)
    assert holds_nothing(engine)


def test_half_a_character_is_no_text():
    with pytest.raises(PromptError, match=r"not valid Unicode: '\\ud800'"):
        Tokenizer(goldens.tokenizer("bpe")).encode("a\ud800")
