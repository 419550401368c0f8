"""Series that the model does not have: how many are kept, and what is said to the others."""

from __future__ import annotations

import pytest

from pipelines.errors import SettingsError
from pipelines.stream.options import StreamOptions
from pipelines.stream.refusals import Refusal
from pipelines.stream.served import serve
from tests.pipelines.stream.streams import as_read, batch_of, blocks_by_topic
from tests.pipelines.stream.test_fates import AR1, engine_of, run
from tests.strategies import make_records

AWAY = (Refusal.TOO_MANY_SERIES.value,)


def test_those_that_come_first_are_kept_and_the_model_has_always_room():
    engine = engine_of(max_series=2, warm_up=2)
    found, counts = run(
        engine, ("a", 100, 1.0), ("b", 100, 1.0), ("c", 100, 1.0), ("s0", 100, 1.0), ("c", 101, 1.0),
        ("a", 101, 1.0), ("s1", 100, 1.0), ("d", 100, None),
    )  # fmt: skip
    assert {offset: one for offset, one in found.items() if one[0] != "forecast"} == {
        2: AWAY,
        4: AWAY,
        7: AWAY,
    }
    assert (counts.dead, counts.warming, counts.forecasts) == (3, 3, 2)
    assert engine.n_series(0) == 4
    found, _ = run(engine, ("c", 102, 1.0), ("s2", 100, 1.0), ("b", 101, 1.0))
    assert found.pop(0) == AWAY


def test_a_letter_says_what_the_bound_is():
    engine = engine_of(max_series=0)
    output = engine.process(batch_of([("a", 100, 1.0, {}, 0)]))
    (headers,) = blocks_by_topic(output)["ticks-dead"].headers
    assert dict(headers)["detail"].startswith(b"at most 0 series that the model does not have")


def test_what_was_restored_is_kept_and_counts():
    engine = engine_of(warm_up=2)
    run(engine, ("a", 100, 1.0), ("b", 100, 1.0), ("c", 100, 1.0), ("s0", 100, 1.0))
    (block,) = engine.state_blocks(0)
    small = engine_of(max_series=2, warm_up=2)
    small.restore(0, as_read(block))
    ticks = [("c", 101, 1.0, {}, 10), ("d", 100, 1.0, {}, 11), ("s1", 100, 1.0, {}, 12)]
    counts = small.process(batch_of(ticks)).counts
    assert (counts.warming, counts.forecasts, counts.dead) == (1, 1, 1)


def test_a_series_that_the_next_model_has_makes_room():
    engine = engine_of(max_series=1)
    run(engine, ("s3", 100, 1.0))
    assert run(engine, ("s4", 100, 1.0))[0] == {0: AWAY}
    engine.swap(serve(make_records(4, **AR1), version="b" * 64))
    assert engine.process(batch_of([("s4", 100, 1.0, {}, 9)])).counts.dead == 0
    assert engine.process(batch_of([("s5", 100, 1.0, {}, 10)])).counts.dead == 1


@pytest.mark.parametrize("bad", [-1, 1.5, 10**9])
def test_a_bound_that_cannot_be(bad):
    with pytest.raises(SettingsError, match="max_series"):
        StreamOptions(max_series=bad)
