"""Constants and trends moved, series refused, inputs told."""

from __future__ import annotations

import numpy as np
import pytest

from edge.fleet import Fleet
from edge.graph.plain import Plain, signature
from forecast.errors import InputError
from forecast.models.records import ExogTerm, Form
from tests.strategies import make_records


def plain(**fields):
    return Plain.of(Fleet.of(make_records(**fields)))


def test_centers_by_hand():
    assert plain(phi=[0.5], const=3.0).center.tolist() == [6.0]  # 3 / (1 - 0.5)
    assert plain(phi=[0.5], const=3.0, d=np.array([1], np.int32)).center.tolist() == [6.0]
    seasonal = plain(phi=[0.5], seasonal_phi=[0.25], season_length=4, const=3.0)
    assert seasonal.center.tolist() == [8.0]
    assert plain(phi=[0.5], const=3.0, form=Form.REGRESSION).center.tolist() == [3.0]


@pytest.mark.parametrize(("d", "D", "center"), [(1, 0, 0.5), (0, 1, 2.0), (1, 1, 0.0), (2, 0, 0.0)])
def test_differences_turn_a_line_into_a_constant_or_nothing(d, D, center):
    found = plain(
        d=np.array([d], np.int32), D=np.array([D], np.int32), season_length=4, slope=0.5, const=9.0,
        form=Form.REGRESSION, levels=np.zeros((1, 8)),
    )  # fmt: skip
    assert found.center.tolist() == [center]
    assert not found.terms.needs_t
    assert not found.free.any()


def test_a_line_that_stays_needs_t():
    assert plain(slope=0.5, form=Form.REGRESSION).terms.needs_t
    assert plain(slope=0.5, d=np.array([1], np.int32)).terms.needs_t  # CONDITIONAL: a quadratic trend


def test_a_constant_is_a_mean_also_of_differences():
    fleet = Fleet.of(make_records(2, phi=[0.5], const=3.0, d=np.array([0, 1], np.int32)))
    np.testing.assert_allclose(Plain.of(fleet).center, [6.0, 6.0])


def test_moving_averages_are_named():
    fleet = Fleet.of(make_records(9, phi=[0.5], theta=[0.2]))
    with pytest.raises(InputError, match="'s0', 's1', 's2', 's3', 's4' have a moving average"):
        Plain.of(fleet)


def test_what_a_graph_is_given():
    terms = (ExogTerm("a"), ExogTerm("b", 2))
    fields = {"phi": [0.1, 0.2, 0.3], "exog": terms, "beta": [1.0, 1.0], "exog_tail": np.ones((1, 1, 2))}
    taken = signature(Fleet.of(make_records(**fields)))
    assert (taken.n_lags, taken.n_past, taken.needs_t, taken.names) == (3, 2, False, ("a", "b"))
    taken = signature(Fleet.of(make_records(**fields, form=Form.REGRESSION)))
    assert (taken.n_lags, taken.n_past) == (3, 5)  # the regressors of the past values too
    taken = signature(Fleet.of(make_records(const=1.0)))
    assert (taken.n_lags, taken.n_past, taken.needs_t, taken.names) == (1, 0, False, ())
