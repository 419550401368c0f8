import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.log.records import Partition, make_batch
from pipelines.stream.decode import decode
from tests.pipelines.stream import fuzz
from tests.pipelines.stream.streams import message, raw_batch


def test_inputs_of_every_kind_are_ticks_or_have_a_reason():
    counts = fuzz.run(20_000, seed=1)
    assert counts["ticks"] > 2_000
    assert len(counts) > 10


@given(
    st.lists(st.tuples(st.none() | st.binary(max_size=8), st.none() | st.binary(max_size=80)), max_size=20)
)
def test_bytes_of_any_kind_too(pairs):
    fuzz.check(raw_batch(pairs))


def test_ids_that_are_written_otherwise_in_json_are_found_in_the_key_or_kept_beside():
    name = 'a "b" \\ \u2603'
    found = decode(raw_batch([(name.encode(), message(name, 1, 2.0)), (None, message(name, 1, 2.0))]))
    ids = [found.data[a:b].tobytes().decode() for a, b in zip(found.id_first, found.id_last, strict=True)]
    assert ids == [name, name]
    assert not found.refused


def test_a_key_that_is_not_the_series_is_refused():
    found = decode(raw_batch([(b"other", message("s", 1, 2.0)), (b"s", message("s", 1, 2.0))]))
    assert [(letter.tick, letter.reason) for letter in found.refused] == [(0, "key_mismatch")]
    assert "b'other'" in found.refused[0].detail


def test_a_regressor_of_which_nothing_can_follow_is_refused():
    pairs = [(b"s", message("s", 1, 2.0, {"a": 1e151})), (b"s", message("s", 1, 2.0, {"b": 1e151}))]
    found = decode(raw_batch(pairs), ("a",), 1e150)
    assert [letter.reason for letter in found.refused] == ["out_of_range"]


def test_an_empty_batch():
    found = decode(make_batch(Partition("ticks", 0), [], [], [], 5))
    assert len(found.id_first) == 0
    assert np.shape(found.exog) == (0, 0)
