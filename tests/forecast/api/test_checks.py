import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.errors import InferredFrequency

N = 240
COLUMNS = [
    "unique_id", "n", "n_missing", "adf", "adf_p", "kpss", "kpss_p", "pp", "pp_p", "seasonal_strength",
    "d", "D", "min_root", "verdict",
]  # fmt: skip


def frame():
    rng = np.random.default_rng(4)
    e = rng.normal(size=(4, N))
    t = np.arange(N)
    y = {
        "noise": e[0],
        "walk": e[1].cumsum(),
        "season": 10 * np.sin(2 * np.pi * t / 12) + e[2],
        "gaps": np.where(t % 50 == 7, np.nan, e[3]),
    }
    ds = pd.date_range("2000-01-01", periods=N, freq="MS")
    parts = [pd.DataFrame({"unique_id": name, "ds": ds, "y": values}) for name, values in y.items()]
    return pd.concat([*parts, pd.DataFrame({"unique_id": ["point"], "ds": ds[:1], "y": [1.0]})])


DF = frame()


def test_verdicts_of_known_series():
    table = fc.stationarity(DF, freq="MS")
    assert list(table.columns) == COLUMNS
    assert table["unique_id"].tolist() == ["noise", "walk", "season", "gaps", "point"]
    rows = table.set_index("unique_id")
    assert rows.loc["noise", "d"] == 0 < rows.loc["walk", "d"]
    assert rows.loc["season", "seasonal_strength"] > 0.8
    assert rows.loc["noise", "seasonal_strength"] < 0.4
    assert rows.loc["noise", "adf_p"] < 0.01 < 0.05 < rows.loc["walk", "adf_p"]
    assert rows.loc["gaps", ["n", "n_missing"]].tolist() == [N, 5]
    assert np.isnan(rows.loc["point", "adf"])
    assert (table["verdict"] != "").all()


def test_names_and_an_inferred_frequency():
    names = {"unique_id": "id", "ds": "t", "y": "v"}
    with pytest.warns(InferredFrequency, match="'MS'"):
        got = fc.stationarity(DF.rename(columns=names), id_col="id", time_col="t", target_col="v")
    pd.testing.assert_frame_equal(got.rename(columns={"id": "unique_id"}), fc.stationarity(DF, freq="MS"))


def test_a_season_of_nothing():
    with pytest.raises(fc.InputError, match="season_length"):
        fc.stationarity(DF, freq="MS", season_length=0)
