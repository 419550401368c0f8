"""Forecasts to long frames, in the types of the caller's frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.errors import ArtifactError, InputError
from forecast.models.frames import to_panel
from forecast.models.output import to_frame
from forecast.models.schema import Schema


def history(ds, ids=("b", "a")):
    n = len(ds)
    return pd.DataFrame({"uid": np.repeat(list(ids), n), "when": list(ds) * len(ids), "y": 1.0})


def forecast(df, freq, h=3):
    panel, schema = to_panel(df, freq, id_col="uid", time_col="when")
    mean = np.arange(panel.n_series * h, dtype=float).reshape(panel.n_series, h)
    return to_frame(panel.ids, panel.end(), panel.freq, h, {"AR": mean, "AR-lo-95": -mean}, schema)


@pytest.mark.parametrize("freq", ["MS", "QE-DEC", "W-SUN", "D", "B", "h"])
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_forecasts_go_on_where_the_data_end(freq, tz):
    ds = pd.date_range("2024-03-01", periods=40, freq=freq, tz=tz)
    df = history(ds[:37])
    got = forecast(df, freq)
    assert got.columns.tolist() == ["uid", "when", "AR", "AR-lo-95"]
    assert got["when"].dtype == df["when"].dtype
    assert got["uid"].dtype == df["uid"].dtype
    assert got["uid"].tolist() == ["b"] * 3 + ["a"] * 3
    assert got["when"].tolist() == list(ds[37:]) * 2
    assert got["AR"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_int_times_stay_ints(dtype):
    df = history([0, 5, 10])
    df["when"] = df["when"].astype(dtype)
    got = forecast(df, 5)
    assert got["when"].dtype == dtype
    assert got["when"].tolist() == [15, 20, 25] * 2


def test_categories_stay_and_survive_json():
    df = history([1, 2])
    df["uid"] = pd.Categorical(df["uid"], categories=["z", "b", "a"], ordered=True)
    panel, schema = to_panel(df, 1, id_col="uid", time_col="when")
    schema = Schema.from_json(schema.to_json())
    got = to_frame(panel.ids, panel.end(), panel.freq, 1, {}, schema)
    assert got["uid"].dtype == df["uid"].dtype


def test_wrong_shapes_and_foreign_schemas_are_refused():
    df = history([1, 2])
    panel, schema = to_panel(df, 1, id_col="uid", time_col="when")
    with pytest.raises(InputError, match=r"'AR' has shape \(2, 2\), needs \(2, 3\)"):
        to_frame(panel.ids, panel.end(), panel.freq, 3, {"AR": np.zeros((2, 2))}, schema)
    with pytest.raises(ArtifactError, match="did you mean 'id_col'"):
        Schema.from_json({"id_cl": "uid"})
