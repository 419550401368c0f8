"""The engine's answers: those of the goldens, and the same however the work was cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.engine import Engine
from decoding.errors import InputError, MemoryPlanError, ParamError, PromptError
from decoding.output import FinishReason
from decoding.sampling.params import SamplingParams
from decoding.tokenizer import Tokenizer
from tests.decoding import goldens
from tests.oracles.llama import Reference


class Clock:
    """Moves on by a second each time it is read."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


class Recorder(Reference):
    """Keeps the logits of every wanted token, by the tokens before it."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.seen = {}
        self.known = {}

    def step(self, batch):
        logits = super().step(batch)
        for token, slot, place in zip(batch.tokens, batch.slot, batch.kv_index, strict=True):
            block = int(batch.block_table[slot, place // self.block_size])
            self.known[block, int(place) % self.block_size] = int(token)
        for i, row in zip(np.flatnonzero(batch.want_logits), logits, strict=True):
            last = int(batch.kv_index[i])
            blocks = batch.block_table[batch.slot[i]]
            ids = tuple(
                self.known[int(blocks[p // self.block_size]), p % self.block_size] for p in range(last + 1)
            )
            again = self.seen.setdefault(ids, row)
            assert np.array_equal(again, row), "the same tokens gave other logits"
        return logits

    def copy_block(self, source, target):
        super().copy_block(source, target)
        self.known.update({(target, p): t for (b, p), t in list(self.known.items()) if b == source})

    def read_block(self, block):
        self.stored = getattr(self, "stored", {})
        content = super().read_block(block)
        self.stored[content.tobytes()] = {p: t for (b, p), t in self.known.items() if b == block}
        return content

    def write_block(self, block, content):
        super().write_block(block, content)
        self.known.update({(block, p): t for p, t in self.stored[content.tobytes()].items()})


@pytest.fixture(scope="module")
def bpe():
    return Tokenizer(goldens.tokenizer("bpe"))


def engine_of(name="llama-tied", tokenizer=None, n_blocks=192, block_size=4, model=Reference, **settings):
    return Engine(model(goldens.model(name), n_blocks=n_blocks, block_size=block_size), tokenizer, **settings)


FREE = SamplingParams(max_new_tokens=64, ignore_eos=True)


@pytest.mark.parametrize("name", goldens.MODELS)
@pytest.mark.parametrize(
    "cut",
    [
        {"max_batch": 1, "token_budget": 512},
        {"max_batch": 6, "token_budget": 7},
        {"max_batch": 3, "n_blocks": 48, "share_prefixes": False},
        {"max_batch": 6, "n_blocks": 48, "spill_blocks": 64},
    ],
    ids=["alone", "chunked", "preempted", "spilled"],
)
def test_greedy_answers_are_those_of_the_goldens(name, cut):
    cases = goldens.read("greedy")["models"][name]["cases"]
    with engine_of(name, **cut) as engine:
        outputs = engine.generate([case["tokens"] for case in cases], FREE)
        assert [list(output.token_ids) for output in outputs] == [case["new_tokens"] for case in cases]
        assert {output.finish_reason for output in outputs} == {FinishReason.LENGTH}
        if "n_blocks" in cut:
            assert sum(output.stats.preemptions for output in outputs) > 0
        if "spill_blocks" in cut:
            assert engine.cache.stats.restored_blocks > 0


@pytest.mark.parametrize("name", goldens.MODELS)
def test_stop_rules_end_where_the_goldens_end(name, bpe):
    cases = goldens.read("stop")["models"][name]["cases"]
    eos = [case for case in cases if case["kind"] == "eos"]
    texts = [case for case in cases if case["kind"] == "stop_strings"][::5]
    with engine_of(name, bpe, n_blocks=400) as engine:
        for case in (*eos, *texts):
            params = SamplingParams(
                max_new_tokens=64,
                min_new_tokens=case["params"].get("min_new_tokens", 0),
                stop_token_ids=case["params"].get("eos_token_id", ()),
                stop=case["params"].get("stop_strings", ()),
                ignore_eos=True,
                skip_special_tokens=False,
            )
            (output,) = engine.generate(case["tokens"], params)
            assert list(output.token_ids) == case["new_tokens"]
            assert output.text == case.get("text_before_stop", case["text"])
            assert (output.finish_reason is FinishReason.STOP) == case["stopped"]


def test_end_of_sequence_is_that_of_the_model_or_of_the_caller(bpe):
    case = goldens.read("stop")["models"]["llama-tied"]["cases"][0]
    with engine_of(tokenizer=bpe, eos_ids=case["params"]["eos_token_id"]) as engine:
        (output,) = engine.generate(
            case["tokens"], SamplingParams(max_new_tokens=64, skip_special_tokens=False)
        )
    assert list(output.token_ids) == case["new_tokens"]
    assert output.finish_reason is FinishReason.EOS
    assert output.stopped_by == case["new_tokens"][-1]


PROMPTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 25), st.integers(1, 12)), min_size=1, max_size=6
)
BASE = [[7, 8, 9] * 9, [7, 8, 9, 10] * 7, list(range(3, 30))]


@pytest.mark.slow
@given(
    wanted=PROMPTS,
    cut=st.fixed_dictionaries(
        {
            "max_batch": st.integers(1, 4),
            "token_budget": st.integers(4, 20),
            "block_size": st.integers(1, 6),
            "share_prefixes": st.booleans(),
            "spill_blocks": st.sampled_from([0, 3, 30]),
        }
    ),
    spare=st.integers(0, 12),
)
@settings(max_examples=25)
def test_however_the_work_is_cut_tokens_and_logits_are_the_same(wanted, cut, spare):
    prompts = [BASE[which][:length] for which, length, _ in wanted]
    params = [
        SamplingParams(max_new_tokens=new, temperature=0.9, top_k=40, seed=i, ignore_eos=True, logprobs=2)
        for i, (_, _, new) in enumerate(wanted)
    ]
    plain = engine_of(max_batch=1, share_prefixes=False)
    expected = [plain.generate(p, s)[0] for p, s in zip(prompts, params, strict=True)]
    longest = max(-(-(length + new - 1) // cut["block_size"]) for _, length, new in wanted)
    tight = engine_of(n_blocks=longest + spare, model=Recorder, **cut)
    for _ in range(2):  # the second time, the cache is warm
        got = tight.generate(prompts, params)
        assert [o.token_ids for o in got] == [o.token_ids for o in expected]
        assert [o.logprobs for o in got] == [o.logprobs for o in expected]  # to the last bit
        assert [o.stats.seed for o in got] == list(range(len(wanted)))
    assert tight.scheduler.idle
    assert tight.cache.n_available == longest + spare


def test_a_prompt_seen_before_is_not_computed_again():
    engine = engine_of(share_prefixes=True)
    prompt = list(range(3, 40))
    engine.generate(prompt, FREE)
    computed = engine.model.tokens
    (output,) = engine.generate([prompt], SamplingParams(max_new_tokens=1))
    assert engine.model.tokens == computed + 1
    assert output.stats.cached_tokens == 36


def test_a_long_prompt_does_not_hold_up_the_others():
    engine = engine_of(max_batch=2, token_budget=8)
    short = engine.submit([3], SamplingParams(max_new_tokens=40, ignore_eos=True))
    engine.step()
    long = engine.submit(list(range(3, 100)), SamplingParams(max_new_tokens=2))
    for n in range(2, 12):  # 97 tokens, 7 a step beside the one of the other
        engine.step()
        assert short.n_output == n
    assert long.n_output == 0


def test_first_come_first_served():
    engine = engine_of(max_batch=1)
    requests = [engine.submit([5 + i], SamplingParams(max_new_tokens=3, ignore_eos=True)) for i in range(4)]
    ended = []
    while not engine.scheduler.idle:
        ended += [request for request in engine.step() if request.finished]
    assert ended == requests


def test_who_gave_way_goes_on_before_those_who_came_later():
    engine = engine_of(n_blocks=6, max_batch=2, share_prefixes=False)
    free = SamplingParams(max_new_tokens=12, ignore_eos=True)  # 8 + 12 tokens: five blocks
    requests = [engine.submit([5 + i] * 8, free) for i in range(3)]
    ended = []
    while not engine.scheduler.idle:
        ended += [request for request in engine.step() if request.finished]
    assert requests[1].preemptions > 0
    assert ended == requests


def test_the_space_between_prompt_and_answer_is_part_of_the_answer():
    unigram = Tokenizer(goldens.tokenizer("unigram"))
    word = next(
        i for i in range(3, 515) if (unigram.token(i) or "").startswith("▁") and len(unigram.token(i)) > 2
    )
    engine = engine_of(tokenizer=unigram)
    (output,) = engine.generate([[word]], SamplingParams(max_new_tokens=2, logit_bias={word: 99.0}))
    assert output.text == " " + " ".join([unigram.decode([word])] * 2)


def test_bad_requests_are_refused_and_the_others_answered(bpe):
    assert engine_of().generate([]) == []
    engine = engine_of(tokenizer=bpe, n_blocks=20)
    good = [5, 6, 7]
    expected = engine.generate(good, SamplingParams(max_new_tokens=8, ignore_eos=True))[0].token_ids
    prompts = [good, [], "", list(range(3, 400)), [515], good, good, good]
    free = SamplingParams(max_new_tokens=8, ignore_eos=True)
    params = [free] * 5 + [
        SamplingParams(max_new_tokens=200),
        SamplingParams(logit_bias={600: 1.0}),
        free,
    ]
    outputs = engine.generate(prompts, params)
    said = [
        "",
        "empty",
        "empty",
        "context of 256",
        "outside the vocabulary of 515",
        "tokens of KV cache",
        "logit_bias",
    ]
    for output, part in zip(outputs[1:-1], said[1:], strict=True):
        assert output.finish_reason is FinishReason.REFUSED
        assert part in output.error
    for output in (outputs[0], outputs[-1]):
        assert output.token_ids == expected
        assert output.error is None


@pytest.mark.parametrize(
    ("prompt", "params", "error", "match"),
    [
        ([3] * 256, {}, PromptError, "256 tokens, and the context of 256"),
        ("text", {}, PromptError, "no tokenizer"),
        ([3, "x"], {}, PromptError, "list of token ids"),
        ([-1], {}, PromptError, "token id -1"),
        ([3], {"max_new_tokens": 90}, MemoryPlanError, "needs 90 tokens of KV cache, 80 are there"),
        ([3], {"stop": "x"}, ParamError, "stop must be empty"),
        ([3], {"dry_multiplier": 1.0}, ParamError, "dry_sequence_breakers must"),
        ([3], {"suppress_tokens": [515]}, ParamError, "suppress_tokens must hold token ids below 515"),
        ([3], {"bad_words_ids": [[3, 515]]}, ParamError, "bad_words_ids must"),
        ([3], {"sequence_bias": [([515], 1.0)]}, ParamError, "sequence_bias must"),
        ([3], {"stop_token_ids": [515]}, ParamError, "stop_token_ids must"),
    ],
    ids=lambda value: None,
)
def test_a_bad_request_alone_raises(prompt, params, error, match):
    engine = engine_of(n_blocks=20)
    with pytest.raises(error, match=match):
        engine.generate(prompt, SamplingParams(**params))
    assert engine.scheduler.idle


def test_numbers_of_prompts_and_params_must_agree():
    with pytest.raises(InputError, match="2 prompts"):
        engine_of().generate([[3], [4]], [FREE])


@pytest.mark.parametrize(
    "bad",
    [{"context": 300}, {"context": 1}, {"max_batch": 0}, {"token_budget": 3}, {"spill_blocks": -1}],
    ids=str,
)
def test_a_bad_setting_is_named(bad):
    with pytest.raises(ParamError) as caught:
        engine_of(**bad)
    assert caught.value.name == next(iter(bad))


def test_one_request_that_cannot_go_on_does_not_harm_the_others():
    engine = engine_of()
    banned = SamplingParams(suppress_tokens=list(range(515)))
    stuck, fine = engine.generate([[3], [4]], [banned, SamplingParams(max_new_tokens=4, ignore_eos=True)])
    assert stuck.finish_reason is FinishReason.FAILED
    assert "every token is forbidden" in stuck.error
    assert len(fine.token_ids) == 4


def test_a_deadline_ends_the_answer_with_what_it_has():
    engine = engine_of(max_batch=1, clock=Clock())
    late = SamplingParams(max_new_tokens=100, deadline_s=15.0, ignore_eos=True)
    begun, waited = engine.generate([[3], [4]], [late, late])
    assert begun.finish_reason is waited.finish_reason is FinishReason.DEADLINE
    assert 2 < len(begun.token_ids) < 15
    assert waited.token_ids == ()
    assert begun.stats.total_s >= 15.0


def test_an_answer_ends_with_the_context_and_may_fill_it():
    engine = engine_of(context=16)
    (output,) = engine.generate([3] * 10, SamplingParams(max_new_tokens=None, ignore_eos=True))
    assert len(output.token_ids) == 6
    assert output.finish_reason is FinishReason.LENGTH
    free = SamplingParams(max_new_tokens=None, ignore_eos=True)
    assert (
        len(engine_of(n_blocks=4).generate([3] * 10, free)[0].token_ids) == 7
    )  # 16 places and the last token
    with pytest.raises(MemoryPlanError):
        engine_of(n_blocks=4).generate([3] * 17, free)


def test_times_and_counts_come_with_the_answer():
    engine = engine_of(clock=Clock())
    (output,) = engine.generate([[3, 4]], SamplingParams(max_new_tokens=5, ignore_eos=True))
    stats = output.stats
    assert (stats.prompt_tokens, stats.output_tokens, stats.cached_tokens) == (2, 5, 0)
    assert 0 < stats.queue_s < stats.first_token_s < stats.total_s
    assert stats.tokens_per_s == pytest.approx(4 / (stats.total_s - stats.first_token_s))


def test_a_stream_says_what_generate_says(bpe):
    engine = engine_of(tokenizer=bpe)
    prompts = ["def read(", "import", ""]
    params = SamplingParams(max_new_tokens=30, temperature=1.0, seed=3, stop=["e", "\n\n"])
    expected = engine.generate(prompts, params)
    tokens, texts, last = [[], [], []], ["", "", ""], {}
    for piece in engine.stream(prompts, params):
        tokens[piece.index] += piece.token_ids
        texts[piece.index] += piece.text
        if piece.output is not None:
            last[piece.index] = piece.output
    for i, want in enumerate(expected):
        assert tuple(tokens[i]) == want.token_ids == last[i].token_ids
        assert texts[i] == (want.text or "")
        assert last[i].finish_reason is want.finish_reason


def test_a_stream_closed_early_gives_its_requests_up():
    engine = engine_of()
    stream = engine.stream([[3], [4]], FREE)
    next(stream)
    stream.close()
    assert engine.scheduler.idle
    assert engine.cache.n_available == 192


def test_an_error_of_the_model_leaves_nothing_behind():
    engine = engine_of()

    def broken(batch):
        raise MemoryError

    step, engine.model.step = engine.model.step, broken
    with pytest.raises(MemoryError):
        engine.generate([[3], [4]], FREE)
    assert engine.scheduler.idle
    engine.model.step = step
    assert len(engine.generate([3], FREE)[0].token_ids) == 64


def test_two_streams_share_the_steps():
    engine = engine_of()
    settings = [SamplingParams(max_new_tokens=n, ignore_eos=True) for n in (20, 30)]
    streams = [engine.stream([5 + i], params) for i, params in enumerate(settings)]
    got = [[], []]
    for i in (0, 1) * 8:  # in turn at first, then one to its end after the other
        got[i] += next(streams[i]).token_ids
    for i in (1, 0):
        got[i] += [token for piece in streams[i] for token in piece.token_ids]
    assert engine.model.steps == 30
    plain = engine_of(max_batch=1)
    for i, params in enumerate(settings):
        assert tuple(got[i]) == plain.generate([5 + i], params)[0].token_ids
