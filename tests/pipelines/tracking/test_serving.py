from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.errors import InputError
from pipelines.tracking.serving import answer
from tests.pipelines.tracking.conftest import long_frame


@pytest.fixture(scope="module")
def fitted():
    return fc.fit(long_frame(4), model=fc.AR(2), freq="MS", n_jobs=1)


def test_all_series_give_what_predict_gives(fitted):
    asked = pd.DataFrame({"unique_id": list(fitted.records[0].ids)})
    pd.testing.assert_frame_equal(answer(fitted, asked, 6, [80]), fitted.predict(6, level=[80]))


def test_the_order_is_that_of_the_question(fitted):
    got = answer(fitted, pd.DataFrame({"unique_id": ["s00003", "s00001"]}), 2, [])
    assert list(got["unique_id"]) == ["s00003", "s00003", "s00001", "s00001"]
    whole = fitted.predict(2).set_index("unique_id")
    np.testing.assert_array_equal(got["AR"], whole.loc[["s00003", "s00001"], "AR"])


def test_each_series_may_have_a_horizon_of_its_own(fitted):
    got = answer(fitted, pd.DataFrame({"unique_id": ["s00002", "s00000"], "h": [1, 3]}), 9, [])
    assert list(got["unique_id"]) == ["s00002", "s00000", "s00000", "s00000"]
    whole = fitted.predict(3)
    pd.testing.assert_frame_equal(
        got[1:].reset_index(drop=True), whole[whole["unique_id"] == "s00000"].reset_index(drop=True)
    )


def test_ids_may_be_numbers():
    df = long_frame(3).assign(unique_id=lambda d: d["unique_id"].str[1:].astype(int))
    got = answer(fc.fit(df, model=fc.Naive(), freq="MS"), pd.DataFrame({"unique_id": [2]}), 1, [])
    assert got["Naive"].item() == df["y"].iloc[-1]


def test_a_model_with_regressors_is_asked_with_their_future():
    df = long_frame(3).assign(price=lambda d: np.sin(np.arange(len(d))))
    model = fc.fit(df, model=fc.ARX(1), freq="MS", exog=["price"], n_jobs=1)
    days = pd.date_range("2019-01-01", periods=2, freq="MS")
    future = pd.DataFrame(
        {
            "unique_id": np.repeat(["s00002", "s00000"], 2),
            "ds": np.tile(days, 2),
            "price": [0.1, 0.2, 0.3, 0.4],
        }
    )
    other = pd.DataFrame({"unique_id": "s00001", "ds": days, "price": 0.0})
    whole = model.predict(2, X_df=pd.concat([future, other])).set_index("unique_id")
    got = answer(model, future, 2, []).set_index("unique_id")
    pd.testing.assert_frame_equal(got, whole.loc[["s00002", "s00000"]])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"id": ["a"]}, "needs a column 'unique_id'"),
        ({"unique_id": ["s00001", "nobody"]}, "no series 'nobody'"),
        ({"unique_id": ["s00001", "s00001"]}, "twice"),
        ({"unique_id": ["s00001", "s00002"], "h": [2, 0]}, "h must be 1 or more"),
    ],
)
def test_a_wrong_question_is_refused(fitted, asked, said):
    with pytest.raises(InputError, match=said):
        answer(fitted, pd.DataFrame(asked), 3, [])
