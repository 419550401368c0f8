"""Records as the exporter sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings

from edge.fleet import Fleet
from forecast.errors import InputError
from forecast.models.assemble import take
from forecast.models.records import ExogTerm, Form
from forecast.types import Status
from tests.oracles import recursion, roots
from tests.record_strategies import golden_ar, golden_full, object_array
from tests.record_strategies import records as any_records
from tests.strategies import make_records


@settings(max_examples=40)
@given(found=any_records())
def test_fields_are_those_of_the_record(found):
    keep = np.flatnonzero(found.status != Status.ALL_MISSING)
    assume(len(keep) and len({str(found.ids[i]) for i in keep}) == len(keep))
    records = take(found, keep)
    fleet = Fleet.of(records)
    for i in range(fleet.n):
        assert fleet.ids[i] == str(records.ids[i])
        p, P = records.p[i], records.P[i]
        np.testing.assert_array_equal(fleet.phi[i, :p], records.phi[i, :p])
        assert not fleet.phi[i, p:].any()
        a = recursion.expand_ar(
            records.phi[i, :p],
            records.seasonal_phi[i, :P],
            records.d[i],
            records.D[i],
            records.season_length[i],
        )
        assert fleet.width[i] == len(a)
        np.testing.assert_allclose(fleet.a[i, : len(a)], a, atol=1e-12)
        np.testing.assert_allclose(roots.step_up(fleet.parcor[i, :p]), fleet.phi[i, :p], atol=1e-9)
    assert fleet.levels.shape[1] == max(1, fleet.width.max())
    assert (fleet.calibration >= 1).all()


def test_orders_and_names_of_golden_records():
    fleet = Fleet.of(golden_ar())
    assert (fleet.ids, fleet.p.tolist(), fleet.n_lags) == (["a", "café"], [3, 1], 3)
    assert fleet.stateless.all()
    np.testing.assert_allclose(fleet.mean, [1.5 / 0.625, -0.1 / 0.25])
    np.testing.assert_allclose(fleet.calibration, [1.1, 1.0])


def test_ids_that_become_the_same_text_are_refused():
    with pytest.raises(InputError, match="two series have the id '7'"):
        Fleet.of(golden_full())


def test_a_mean_only_where_there_is_one():
    records = make_records(
        5, phi=[0.5], const=2.0, d=np.array([0, 1, 0, 0, 0], np.int32),
        form=np.array([0, 0, Form.REGRESSION, 0, 0], np.uint8), slope=np.array([0, 0, 0, 0.1, 0]),
        seasonal=np.array([[0.0], [0], [0], [0], [1.0]]),
    )  # fmt: skip
    assert Fleet.of(records).mean.tolist() == [4.0, 0.0, 0.0, 0.0, 0.0]


def test_regressors_that_no_series_uses_are_not_asked_for():
    terms = (ExogTerm("a", 3), ExogTerm("b", 1), ExogTerm("a"))
    tail = np.ones((2, 2, 3))
    fleet = Fleet.of(make_records(2, exog=terms, beta=np.array([[0, 1.0, 0], [0, 0, 0]]), exog_tail=tail))
    assert (fleet.names, fleet.max_lag) == (("b",), 1)
    fleet = Fleet.of(make_records(2, exog=terms, beta=np.array([[0, 1.0, 0], [2.0, 0, 0]]), exog_tail=tail))
    assert (fleet.names, fleet.max_lag) == (("a", "b"), 3)


def test_what_cannot_be_exported_is_named():
    good = make_records(7, phi=[0.5])
    with pytest.raises(InputError, match="no series to export"):
        Fleet.of(take(good, np.array([], dtype=np.int64)))
    lost = replace(
        good, levels=np.full((7, 1), np.nan), status=np.full(7, Status.ALL_MISSING, dtype=np.uint8)
    )
    with pytest.raises(InputError, match=r"no level to forecast from: series 's0', .* and 2 more"):
        Fleet.of(lost)
    with pytest.raises(InputError, match="phi of series 's0' is not stationary"):
        Fleet.of(make_records(1, phi=[1.0]))
    with pytest.raises(InputError, match="needs more than its"):
        Fleet.of(replace(good, p=np.full(7, 2, np.int32)))


def test_a_series_without_variance_has_a_mean_all_the_same():
    records = make_records(1, phi=[0.5], sigma2=np.nan, status=Status.TOO_SHORT)
    assert np.isnan(Fleet.of(records).sigma2[0])


def test_series_can_be_taken():
    records = make_records(
        3, phi=np.array([[0.1], [0.2], [0.3]]), levels=[1.0], state_cov={2: np.ones((1, 1))}
    )
    some = Fleet.of(records).take(np.array([2, 0]))
    assert (some.ids, some.phi.tolist(), list(some.state_cov)) == (["s2", "s0"], [[0.3], [0.1]], [0])


def test_arrays_are_read_only_and_the_records_stay_as_they_were():
    records = make_records(1, phi=[0.5], ids=object_array(["a"]))
    fleet = Fleet.of(records)
    with pytest.raises(ValueError, match="read-only"):
        fleet.phi[0, 0] = 0.9
    assert records.phi[0, 0] == 0.5
