import os

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.api.fitting import check_jobs
from forecast.errors import InferredFrequency

N = 30
DF = pd.DataFrame(
    {
        "unique_id": np.repeat(["b", "a"], N),
        "ds": np.tile(pd.date_range("2021-01-31", periods=N, freq="ME"), 2),
        "y": np.random.default_rng(0).normal(size=2 * N).cumsum() + 50,
    }
)


def test_a_frequency_left_out_is_inferred_and_said():
    with pytest.warns(InferredFrequency, match="'ME'") as caught:
        fitted = fc.fit(DF, fc.Naive())
    assert caught[0].filename == __file__  # the line of the caller, not ours
    assert fitted.freq == "ME"
    pd.testing.assert_frame_equal(fitted.predict(2), fc.fit(DF, fc.Naive(), freq="ME").predict(2))
    with pytest.warns(InferredFrequency, match="'1'"):
        fc.fit(DF.assign(ds=np.tile(np.arange(N), 2)), fc.Naive())


def test_the_input_is_not_changed():
    before = DF.copy()
    fc.fit(DF, [fc.AR(), fc.AutoAR()], freq="ME")
    pd.testing.assert_frame_equal(DF, before)


def test_the_season_comes_from_the_argument_or_from_the_frequency():
    assert fc.fit(DF, fc.SeasonalNaive(), freq="ME").models[0].season_length == 12
    assert fc.fit(DF, fc.SeasonalNaive(), freq="ME", season_length=3).models[0].season_length == 3
    assert fc.fit(DF, fc.SeasonalNaive(season_length=4), freq="ME").models[0].season_length == 4


@pytest.mark.parametrize("season_length", [0, -1, 2.5, "12"])
def test_a_season_that_is_none(season_length):
    with pytest.raises(fc.InputError, match="season_length"):
        fc.fit(DF, fc.SeasonalNaive(), freq="ME", season_length=season_length)


def test_duplicates_by_policy():
    twice = pd.concat([DF, DF.iloc[[N - 1]].assign(y=0.0)])
    last = fc.fit(twice, fc.Naive(), freq="ME", duplicates="last").predict(1)
    mean = fc.fit(twice, fc.Naive(), freq="ME", duplicates="mean").predict(1)
    assert last["Naive"][0] == 0.0
    assert mean["Naive"][0] == pytest.approx(DF["y"][N - 1] / 2)


def test_ids_keep_order_and_type():
    df = DF.assign(unique_id=np.repeat([7, 3], N))
    got = fc.fit(df, fc.Naive(), freq="ME").predict(1)
    assert got["unique_id"].tolist() == [7, 3]
    assert got["unique_id"].dtype == np.int64


def test_threads():
    assert check_jobs(-1) == os.cpu_count()
    assert check_jobs(3) == 3
