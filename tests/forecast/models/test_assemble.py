from dataclasses import fields

import numpy as np
import pytest

from forecast.errors import InputError
from forecast.models.assemble import lagged_names, place, take, widen
from forecast.models.records import ExogTerm, Records
from tests.strategies import make_records


def records(*ids, **changes):
    return make_records(len(ids), ids=np.array(ids, dtype=object), **changes)


def test_parts_go_to_their_places():
    one = records("b", "d", phi=[0.5], sigma2=2.0, levels=[7.0], messages={1: "late"})
    two = records("a", "c", phi=[0.1, 0.2], sigma2=3.0, levels=[1.0, 2.0], param_cov={0: np.eye(3)})
    got = place([one, two], [np.array([1, 3]), np.array([0, 2])], 4)
    assert got.ids.tolist() == ["a", "b", "c", "d"]
    assert got.sigma2.tolist() == [3.0, 2.0, 3.0, 2.0]
    assert got.phi.tolist() == [[0.1, 0.2], [0.5, 0.0], [0.1, 0.2], [0.5, 0.0]]
    assert got.p.tolist() == [2, 1, 2, 1]
    assert dict(got.messages) == {3: "late"}
    assert list(got.param_cov) == [0]


def test_one_part_in_order_is_not_copied():
    one = records("a", "b")
    assert place([one], [np.arange(2)], 2) is one


def test_parts_must_be_whole():
    with pytest.raises(InputError, match="hold 1 series, needs 2"):
        place([records("a")], [np.array([0])], 2)


def test_regressors_are_joined_by_name_and_lag():
    x, x2, z = ExogTerm("x"), ExogTerm("x", 2), ExogTerm("z", 1)
    one = records("a", beta=[1.0, 2.0], exog=(x, x2), exog_tail=np.array([[[5.0, 6.0]]]))
    two = records("b", beta=[3.0, 4.0], exog=(z, x), exog_tail=np.array([[[8.0]]]))
    none = records("c")
    got = place([one, two, none], [np.array([0]), np.array([1]), np.array([2])], 3)
    assert got.exog == (x, x2, z)
    assert got.beta.tolist() == [[1.0, 2.0, 0.0], [4.0, 0.0, 3.0], [0.0, 0.0, 0.0]]
    assert lagged_names(got.exog) == ["x", "z"]
    assert got.exog_tail.tolist() == [
        [[5.0, 6.0], [0.0, 0.0]],
        [[0.0, 0.0], [8.0, 0.0]],
        [[0.0, 0.0], [0.0, 0.0]],
    ]


def test_take_and_place_are_inverse():
    whole = records(
        "a", "b", "c", sigma2=np.array([1.0, 2.0, 3.0]), phi=[0.5, 0.1], messages={0: "x", 2: "y"}
    )
    rows = [np.array([2]), np.array([0, 1])]
    back = place([take(whole, r) for r in rows], rows, 3)
    for f in fields(Records):
        value, other = getattr(whole, f.name), getattr(back, f.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(other, value, err_msg=f.name)
        else:
            assert other == value


def test_widening_pads_with_zeros():
    assert widen(np.array([[1.0]]), 3).tolist() == [[1.0, 0.0, 0.0]]
