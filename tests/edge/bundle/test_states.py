"""states.npz: what it holds, and what a reader refuses."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle.states import States
from edge.errors import ExportError
from edge.fleet import Fleet
from forecast.models.freq import Freq
from forecast.models.records import ExogTerm, Form
from tests.record_strategies import covariance, object_array, random_records
from tests.strategies import make_records

NS_DAY = 86_400_000_000_000


def two():
    """An ARMA(1, 2), known, and an AR(3) with a covariance: M = 3 + 2."""
    rng = np.random.default_rng(0)
    return make_records(
        2, phi=np.array([[0.5, 0.0, 0.0], [0.5, 0.1, -0.2]]), theta=np.array([[0.4, 0.2], [0.0, 0.0]]),
        p=np.array([1, 3]), q=np.array([2, 0]), form=Form.REGRESSION,
        levels=np.array([[1.0, 99.0, 99.0], [1.0, 2.0, 3.0]]),
        innovations=np.array([[0.1, 0.2], [99.0, 99.0]]), state_cov={1: covariance(rng, 3)},
    )  # fmt: skip


def test_states_stand_where_the_records_do():
    records = two()
    states = States.of(Fleet.of(records))
    np.testing.assert_array_equal(states.state, [[1.0, 0, 0, 0.1, 0.2], [1.0, 2.0, 3.0, 0, 0]])
    np.testing.assert_array_equal(states.t, [100, 100])
    np.testing.assert_array_equal(states.last_ts_ms, [99, 99])
    np.testing.assert_array_equal(states.cov_rows, [1])
    np.testing.assert_array_equal(states.cov[0, :3, :3], records.state_cov[1])
    assert not states.cov[0, 3:].any()
    assert not states.cov[0, :, 3:].any()
    assert not states.full_cov()[0].any()
    np.testing.assert_array_equal(states.full_cov()[1], states.cov[0])


def test_the_parts_of_a_covariance_stand_where_the_parts_of_the_state_do():
    records = make_records(
        2, phi=np.array([[0.5, 0.0], [0.5, 0.2]]), theta=np.array([[0.4], [0.1]]), p=np.array([1, 2]),
        state_cov={0: np.array([[1.0, 2.0], [2.0, 5.0]])},
    )  # fmt: skip
    np.testing.assert_array_equal(States.of(Fleet.of(records)).cov, [[[1, 0, 2], [0, 0, 0], [2, 0, 5]]])


def test_a_covariance_is_symmetric_to_the_last_bit():
    cov = np.array([[1.0, 0.3 + 1e-16], [0.3, 2.0]])
    cov[0, 1] = np.nextafter(0.3, 1.0)
    records = make_records(1, phi=[0.5, 0.2], state_cov={0: cov})
    got = States.of(Fleet.of(records)).cov[0]
    np.testing.assert_array_equal(got, got.T)
    assert got[0, 1] == 0.3


def test_regressors_keep_their_past_in_the_order_of_x():
    exog = (ExogTerm("b", 2), ExogTerm("a"), ExogTerm("c", 1), ExogTerm("fourier(7,sin,1)"))
    tail = np.array([[[1.0, 2.0], [3.0, 4.0]]])  # of b, of c
    records = make_records(1, phi=[0.5], exog=exog, beta=[[1.0, 1.0, 1.0, 1.0]], exog_tail=tail)
    fleet = Fleet.of(records)
    assert fleet.names == ("b", "a", "c")
    np.testing.assert_array_equal(States.of(fleet).exog_tail, [[[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]]])


def test_a_regressor_that_counts_nowhere_is_left_out():
    exog = (ExogTerm("b", 3), ExogTerm("a", 1))
    records = make_records(
        1, phi=[0.5], exog=exog, beta=[[0.0, 1.0]], exog_tail=np.array([[[1.0, 2, 3], [4, 5, 6]]])
    )
    np.testing.assert_array_equal(States.of(Fleet.of(records)).exog_tail, [[[4.0]]])


@pytest.mark.parametrize(
    ("freq", "start", "nobs", "want"),
    [
        (Freq("1"), 5, 3, "7"),
        (Freq("10"), -20, 4, "10"),
        (Freq("h"), 0, 49, "1970-01-03T00:00"),
        (Freq("h", "Europe/Paris"), 0, 49, "1970-01-03T00:00"),  # ns of UTC
        (Freq("D"), 0, 32, "1970-02-01T00:00"),
        (Freq("MS"), 0, 14, "1971-02-01T00:00"),
        (Freq("D", "Europe/Paris"), 19_700 * NS_DAY, 4, "2023-12-11T23:00"),  # a wall clock, an hour ahead
        (Freq("D", "Europe/Paris"), 19_900 * NS_DAY, 1, "2024-06-25T22:00"),
        (Freq("B"), 4 * NS_DAY, 6, "1970-01-12T00:00"),
    ],
)
def test_the_time_of_the_last_point_is_utc_in_ms(freq, start, nobs, want):
    records = make_records(1, phi=[0.5], freq=freq, start=start, nobs=nobs)
    got = States.of(Fleet.of(records)).last_ts_ms[0]
    assert got == (int(want) if want.isdigit() else np.datetime64(want, "ms").astype(np.int64))


def test_an_hour_that_a_zone_has_twice_is_the_first_and_one_that_it_skips_the_end():
    def last(day, hour):
        start = np.datetime64(f"{day}T{hour}", "ns").astype(np.int64)
        records = make_records(1, phi=[0.5], freq=Freq("D", "Europe/Paris"), start=start, nobs=1)
        return str(States.of(Fleet.of(records)).last_ts_ms.astype("datetime64[ms]")[0])

    assert last("2024-10-27", "02:30") == "2024-10-27T00:30:00.000"
    assert last("2024-03-31", "02:30") == "2024-03-31T01:00:00.000"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 6), ragged=st.sampled_from([0.0, 0.5, 1.0]))
def test_bytes_come_back_as_they_were(seed, n, ragged):
    records = random_records(seed, list(range(n)), exog=(ExogTerm("a", 2),), ragged=ragged)
    lost = np.isnan(records.levels)
    records = replace(
        records, levels=np.where(lost, 1.0, records.levels), freq=Freq("1"), ids=object_array(range(n)),
        sigma2=np.nan_to_num(records.sigma2), start=np.zeros(n, np.int64),
        status=np.zeros(n, np.uint8), nobs=records.nobs + np.int32(1),
    )  # fmt: skip
    states = States.of(Fleet.of(records))
    data = states.to_bytes()
    again = States.from_bytes(data)
    for name in ("state", "t", "last_ts_ms", "cov_rows", "cov", "exog_tail"):
        np.testing.assert_array_equal(getattr(again, name), getattr(states, name))
    assert again.to_bytes() == data
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        assert ("cov" in file.files) == bool(records.state_cov)
        assert file["state"].shape[1] == states.state.shape[1]


def changed(**arrays):
    states = States.of(Fleet.of(two()))
    names = ("state", "t", "last_ts_ms", "cov_rows", "cov", "exog_tail")
    members = {name: getattr(states, name) for name in names} | arrays
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in members.items() if array is not None})
    return buffer.getvalue()


NEGATIVE = -np.eye(5)[None]
BAD = {
    "lost member": ({"t": None}, r"missing \['t'\]"),
    "foreign member": ({"extra": np.zeros(1)}, r"foreign \['extra'\]"),
    "object array": ({"t": np.array([None, None])}, "not a file of states"),
    "float32": ({"state": np.zeros((2, 5), np.float32)}, "float32, needs float64"),
    "one dimension": ({"state": np.zeros(2), "cov": None, "cov_rows": None}, r"needs \(n, M\)"),
    "another n": ({"t": np.zeros(3, np.int64)}, r"'t' of the states has shape \(3,\), needs \(2,\)"),
    "another M": ({"cov": np.zeros((1, 4, 4))}, r"needs \(1, 5, 5\)"),
    "rows without cov": ({"cov": None}, r"'cov' of the states has shape \(0, 5, 5\), needs \(1, 5, 5\)"),
    "cov without rows": ({"cov_rows": None}, r"'cov' of the states has shape \(1, 5, 5\), needs \(0, 5, 5\)"),
    "scalar rows": ({"cov_rows": np.array(1)}, "'cov_rows' of the states has shape"),
    "row too far": ({"cov_rows": np.array([2])}, "ascend within 0..1"),
    "row below 0": ({"cov_rows": np.array([-1])}, "ascend within 0..1"),
    "row twice": ({"cov_rows": np.array([1, 1]), "cov": np.zeros((2, 5, 5))}, "ascend"),
    "nan": ({"state": np.full((2, 5), np.nan)}, "'state' of the states holds NaN"),
    "infinite": ({"cov": np.full((1, 5, 5), np.inf)}, "'cov' of the states holds NaN"),
    "skew": ({"cov": np.triu(np.ones((1, 5, 5)))}, "not symmetric"),
    "negative": ({"cov": NEGATIVE}, "negative variance"),
    "before the start": ({"t": np.array([3, -1])}, "'t' of the states holds -1"),
    "tail": ({"exog_tail": np.zeros((3, 1, 1))}, "exog_tail"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name):
    arrays, message = BAD[name]
    with pytest.raises(ExportError, match=message):
        States.from_bytes(changed(**arrays))


@pytest.mark.parametrize("keep", [0, 10, 400, -1])
def test_a_truncated_file_is_refused(keep):
    with pytest.raises(ExportError, match="not a file of states"):
        States.from_bytes(changed()[:keep])


def test_another_file_is_refused():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    for data in (buffer.getvalue(), b"{}" * 100):
        with pytest.raises(ExportError, match="not a file of states"):
            States.from_bytes(data)
