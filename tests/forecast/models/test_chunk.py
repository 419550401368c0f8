"""Chunks: records cut, joined and overlaid without a bit changed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.models import chunk
from forecast.models.assemble import take
from forecast.models.chunk import CHUNK_RECORDS, join, overlay, split
from forecast.models.codec import encode
from forecast.models.freq import Freq
from forecast.models.records import ExogTerm
from tests.record_strategies import assert_same, golden_ar, random_records, records


@given(records(), st.integers(1, 4))
def test_what_is_cut_joins_bitwise(found, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "CHUNK_RECORDS", size)
        parts = list(split(found))
    assert [part.n_series for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert_same(join(parts), found)


def test_a_chunk_has_4096_records():
    found = random_records(0, list(range(2 * CHUNK_RECORDS + 1)), ragged=0.01)
    assert [part.n_series for part in split(found)] == [4096, 4096, 1]


@pytest.mark.parametrize("limit", ["MAX_CHUNK_BYTES", "MAX_HEADER_BYTES"])
def test_large_records_make_shorter_chunks_within_the_limit(limit, monkeypatch):
    found = random_records(0, ["é" * 200 + str(i) for i in range(40)], ragged=1.0)
    monkeypatch.setattr(chunk, "_OVERHEAD_BYTES", 0)
    monkeypatch.setattr(chunk, "MAX_HEADER_BYTES", 30_000 if limit == "MAX_HEADER_BYTES" else 8 << 20)
    monkeypatch.setattr(
        chunk, "MAX_CHUNK_BYTES", (8 << 20) + 10_000 if limit == "MAX_CHUNK_BYTES" else 64 << 20
    )
    parts = list(split(found))
    assert 2 < len(parts) < 40
    assert_same(join(parts), found)
    if limit == "MAX_CHUNK_BYTES":  # 10 kB of rows; 50 members of zip and array headers come on top
        assert all(len(encode(part)) < 10_000 + 50 * 350 + 60_000 for part in parts)


def test_the_childs_series_win_in_the_order_of_the_parent():
    base = random_records(1, ["a", "b", "c"], messages={0: "old a", 1: "old b"})
    top = random_records(2, ["d", "b"], max_order=5, messages={0: "new d"})
    found = overlay(base, top)
    assert list(found.ids) == ["a", "b", "c", "d"]
    assert found.const.tolist() == [base.const[0], top.const[1], base.const[2], top.const[0]]
    assert found.messages == {0: "old a", 3: "new d"}
    assert sorted(found.state_cov) == sorted(
        [i for i in (0, 2) if i in base.state_cov] + [{0: 3, 1: 1}[i] for i in top.state_cov]
    )


@given(records(), records())
def test_every_series_of_an_overlay_is_that_of_child_or_parent(base, top):
    base, top = replace(base, freq=Freq("h")), replace(top, freq=Freq("h"))
    found = overlay(base, top)
    for i, key in enumerate(found.ids):
        source = top if key in set(top.ids) else base
        j = list(source.ids).index(key)
        k = source.p[j]
        assert found.phi[i, :k].tolist() == source.phi[j, :k].tolist()
        assert not found.phi[i, k:].any()
        assert found.messages.get(i) == source.messages.get(j)
        assert np.array_equal(found.state_cov.get(i), source.state_cov.get(j))
        for column, term in enumerate(source.exog):
            assert found.beta[i, found.exog.index(term)] == source.beta[j, column]
    encode(found)


def test_an_overlay_of_all_series_is_the_child():
    base, top = random_records(1, ["a", "b"]), random_records(2, ["b", "a"])
    assert_same(overlay(base, top), take(top, np.array([1, 0])))


def test_one_and_the_text_1_are_different_series():
    found = overlay(random_records(1, [1, "1"]), random_records(2, ["1"]))
    assert list(found.ids) == [1, "1"]


def test_regressors_of_parent_and_child_are_told_apart_by_name():
    base = random_records(1, ["a", "b"], exog=(ExogTerm("x"), ExogTerm("y", 1)))
    top = random_records(2, ["b"], exog=(ExogTerm("y", 1), ExogTerm("z", 2)))
    found = overlay(base, top)
    assert found.exog == (ExogTerm("x"), ExogTerm("y", 1), ExogTerm("z", 2))
    np.testing.assert_array_equal(found.beta[0], [*base.beta[0], 0.0])
    np.testing.assert_array_equal(found.beta[1], [0.0, *top.beta[0]])
    encode(found)


def test_two_frequencies_are_not_one_model():
    with pytest.raises(InputError, match="frequencies"):
        join([golden_ar(), replace(golden_ar(), freq=Freq("h"))])
