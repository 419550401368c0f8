"""The engine against the plain one, whatever comes in, however it is cut, with restarts and swaps between."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.stream.engine import Engine
from pipelines.stream.options import StreamOptions
from pipelines.stream.served import serve
from pipelines.stream.topics import Topics
from tests.oracles.stream import Oracle
from tests.pipelines.stream.streams import (
    as_read,
    assert_same,
    batch_of,
    blocks_by_topic,
    check_counts,
    fleet,
    outcomes,
)

STEP = 10
START = 1000
TOPICS = Topics()


class Both:
    """The engine and the plain one, side by side."""

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.records, self.version = fleet(name, 0, STEP), "a" * 64
        self.engine = Engine(self.served(), options)
        self.engine.open(0)
        self.oracle = Oracle(self.records, options, STEP)
        self.changelog = []

    def served(self):
        return serve(self.records, name=self.name, version=self.version)

    def process(self, ticks):
        output = self.engine.process(batch_of(ticks))
        check_counts(output.counts)
        got = outcomes(output, TOPICS)
        changed = 0
        for tick in ticks:
            want = self.oracle.tick(*tick)
            changed += want[0] in ("forecast", "not_finite", "missing_future")
            silent = want[0] in ("duplicate", "replayed", "null_ahead", "warming")
            assert_same(got.pop(tick[4]) if tick[4] in got else want if silent else ("nothing",), want)
        assert not got
        state = blocks_by_topic(output).get(TOPICS.state)
        if state is not None:
            keys = [state.key(i) for i in range(len(state.keys))]
            assert len(set(keys)) == len(keys)
            self.changelog.append(as_read(state))
        assert state is not None or not changed

    def restart(self):
        before = self.state()
        self.engine = Engine(self.served(), self.options)
        self.engine.open(0)
        for batch in self.changelog:
            self.engine.restore(0, batch)
        assert self.state() == before

    def state(self):
        found = {}
        for block in self.engine.state_blocks(0):
            found |= {block.key(i): block.value(i) for i in range(len(block.keys))}
        assert len(found) == self.engine.n_series(0)
        return found

    def swap(self, restored):
        """Another model: while the engine runs, or found by one that starts."""
        self.records, self.version = fleet(self.name, 1, STEP, n=2), "b" * 64
        self.oracle.swap(self.records)
        if restored:
            self.engine = Engine(self.served(), self.options)
            self.engine.open(0)
            for batch in self.changelog:
                self.engine.restore(0, batch)
        else:
            self.engine.swap(self.served())
        self.changelog = [as_read(block) for block in self.engine.state_blocks(0)]


NAMES = ("s0", "s1", "s2", "new")
TICK = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from([1, 1, 1, 1, 1, 2, 3, 0, -1, -2, -3, 5, 9, 12]),
    st.sampled_from([0, 0, 0, 0, 1, -2, 4]),
    st.one_of(st.none(), st.floats(0.1, 5.0), st.floats(0.1, 5.0), st.floats(0.1, 5.0), st.just(-1.0)),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(-2.0, 2.0)),
)
ACTION = st.one_of(
    st.lists(TICK, min_size=1, max_size=12), st.lists(TICK, min_size=1, max_size=12),
    st.sampled_from(["restart", "replay", "swap", "swap by restart"]),
)  # fmt: skip


def run(name, options, actions, exog=True):
    both, offset = Both(name, options), 0
    ends = dict.fromkeys(NAMES, 99)
    last, swapped = [], False
    for action in actions:
        if action == "restart":
            both.restart()
        elif action == "replay":
            both.process(last)
        elif isinstance(action, str):
            if not swapped:
                both.swap(action == "swap by restart")
                swapped = True
        else:
            ticks = []
            for series, gap, off, value, given_exog in action:
                place = ends[series] + gap
                ends[series] = max(ends[series], place)
                offset += 1
                ts = START + place * STEP + off
                ticks.append((series, ts, value, given_exog if exog else {}, offset))
            both.process(ticks)
            last = ticks
    both.restart()


OPTIONS = st.builds(
    StreamOptions, horizon=st.sampled_from([1, 4]), levels=st.sampled_from([(), (80.0, 95.0)]),
    tolerance=st.just(0.3), gap_cap=st.sampled_from([3, 6]), grace=st.sampled_from([0, 2]),
    window=st.sampled_from([4, 6]), warm_up=st.sampled_from([3, 4]),
    exog=st.sampled_from(["persist", "require"]), exog_ahead=st.sampled_from([None, 2, 5]),
)  # fmt: skip


@pytest.mark.parametrize("name", ["ar", "arma", "log"])
@settings(max_examples=25)
@given(options=OPTIONS, actions=st.lists(ACTION, min_size=1, max_size=5))
def test_it_does_what_the_plain_engine_does(name, options, actions):
    run(name, options, actions)


@settings(max_examples=60)
@given(options=OPTIONS, actions=st.lists(ACTION, min_size=1, max_size=5))
def test_regressors_too(options, actions):
    run("driven", options, actions)
