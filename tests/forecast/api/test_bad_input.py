"""Input that no series can be fitted with raises before any work; the message names value and fix."""

from __future__ import annotations

import errno
import json
import os
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.errors import (
    ArtifactError,
    ColumnError,
    DuplicateError,
    FrequencyError,
    FutureExogError,
    InputError,
)
from forecast.models import version

N = 40
DF = pd.DataFrame(
    {
        "unique_id": np.repeat(["a", "b"], N),
        "ds": np.tile(pd.date_range("2020-01-01", periods=N, freq="D"), 2),
        "y": np.random.default_rng(0).normal(size=2 * N).cumsum(),
        "temp": np.random.default_rng(1).normal(size=2 * N),
    }
)


class Untouched:
    """A model that must never be asked to fit."""

    alias = "Untouched"
    takes_exog = True

    def fit(self, panel, jobs=1):
        pytest.fail("work was done before the input was judged")


def refused(error, df, *words, freq="D", model=None, **options):
    with pytest.raises(error) as caught:
        fc.fit(df, model or Untouched(), freq=freq, **options)
    for word in words:
        assert word in str(caught.value)


def test_an_empty_frame():
    refused(InputError, DF.iloc[:0], "empty")


def test_a_missing_column_names_the_nearest():
    refused(ColumnError, DF.rename(columns={"unique_id": "uniqe_id"}), "unique_id", "uniqe_id")
    refused(ColumnError, DF, "'tmp'", "'temp'", exog=["tmp"])


def test_duplicate_times():
    df = pd.concat([DF, DF.iloc[[3]]])
    refused(DuplicateError, df, "'a'", "2020-01-04", "'last'", "'mean'")
    assert len(fc.fit(df, fc.Naive(), freq="D", duplicates="last").report()) == 2


def test_mixed_time_zones():
    zoned = [t.tz_localize("Europe/Berlin" if i % 2 else "UTC") for i, t in enumerate(DF["ds"])]
    refused(InputError, DF.assign(ds=pd.Series(zoned, dtype=object)), "zone")


@pytest.mark.parametrize("freq", ["fortnight", "MSS", 0, -1])
def test_an_unknown_frequency(freq):
    refused(FrequencyError, DF, str(freq), freq=freq)


def test_a_frequency_that_fits_nothing():
    odd = DF.assign(ds=DF["ds"] + pd.Timedelta(hours=5))
    refused(FrequencyError, odd[odd["ds"].dt.day != 1], "MS", freq="MS")


@pytest.mark.parametrize("model", ["AutoAr", fc.AR, 3, [], [fc.AR(), "Naive"]])
def test_what_is_no_model(model):
    with pytest.raises(InputError, match="model"):
        fc.fit(DF, model, freq="D")


def test_a_misspelt_model_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="'AutoAR'"):
        fc.fit(DF, "AutoAr", freq="D")
    with pytest.raises(InputError, match=r"AR\(\.\.\.\)"):
        fc.fit(DF, fc.AR, freq="D")


def test_two_models_of_one_name():
    with pytest.raises(InputError, match="alias='AR2'"):
        fc.fit(DF, [fc.AR(lags=1), fc.AR(lags=2)], freq="D")


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        (fc.AR, {"lags": "aci"}, "'aic'"),
        (fc.AR, {"method": "brug"}, "'burg'"),
        (fc.AR, {"trend": "linear"}, "trend='linear'"),
        (fc.AR, {"backend": "statsmodel"}, "'statsmodels'"),
        (fc.AR, {"lags": -1}, "-1"),
        (fc.AR, {"lags": [1, 1]}, "twice"),
        (fc.AR, {"lags": [0, 1]}, "0"),
        (fc.AR, {"lags": 1.5}, "1.5"),
        (fc.AR, {"lags": 20000}, "20000"),
        (fc.AR, {"lags": 2, "max_lags": 5}, "max_lags=5"),
        (fc.AR, {"lags": [1, 3], "method": "burg"}, "'ols'"),
        (fc.AR, {"lags": 2, "trend": "ct", "method": "mle"}, "ARIMA"),
        (fc.AR, {"backend": "statsmodels", "method": "burg"}, "'ols'"),
        (fc.AR, {"seasonal": True, "season_length": 1}, "season_length"),
        (fc.ARX, {"method": "ridge"}, "'ridge'"),
        (fc.ARX, {"exog_lags": {"temp": [-1]}}, "exog_lags"),
        (fc.AutoAR, {"ic": "bicc"}, "'bic'"),
        (fc.AutoAR, {"n_windows": 0}, "n_windows"),
        (fc.SeasonalNaive, {"season_length": 0}, "season_length"),
    ],
    ids=str,
)
def test_arguments_without_a_meaning(model, arguments, words):
    with pytest.raises(InputError) as caught:
        model(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "y",
    [
        ["1.5"] * (2 * N - 1) + ["n/a"],
        [object()] * (2 * N),
        [Decimal(1)] * (2 * N - 1) + ["x"],
        [[1]] * (2 * N),
        pd.date_range("2020-01-01", periods=2 * N),
    ],
)
def test_observations_that_are_no_numbers(y):
    refused(ColumnError, DF.assign(y=pd.Series(y)), "'y'")


def test_exog_for_models_that_take_none():
    with pytest.raises(InputError, match="takes no regressors"):
        fc.fit(DF, fc.AR(), freq="D", exog=["temp"])
    with pytest.raises(InputError, match="needs regressors"):
        fc.fit(DF, fc.ARX(), freq="D")
    with pytest.raises(InputError, match="'tmp'"):
        fc.fit(DF, fc.ARX(exog_lags={"tmp": [1]}), freq="D", exog=["temp"])


def test_exog_with_holes():
    refused(
        InputError, DF.assign(temp=DF["temp"].where(DF.index != 5)), "'temp'", "2020-01-06", exog=["temp"]
    )


@pytest.mark.parametrize("n_jobs", [0, -2, True, 1.5])
def test_a_number_of_threads(n_jobs):
    refused(InputError, DF, "n_jobs", n_jobs=n_jobs)


@pytest.fixture(scope="module")
def plain():
    return fc.fit(DF, fc.AR(lags=1), freq="D")


@pytest.fixture(scope="module")
def driven():
    model = fc.ARX(lags=1, exog_lags={"temp": [0, 1]})
    return fc.fit(DF.assign(wind=DF["temp"] ** 2), model, freq="D", exog=["temp", "wind"])


@pytest.mark.parametrize("h", [0, -3, 1.5, "3", None, True])
def test_a_horizon(plain, h):
    for call in (plain.predict, plain.simulate):
        with pytest.raises(InputError, match="h must"):
            call(h)


@pytest.mark.parametrize("level", [0, 100, -5, 101, [80, 100], "95", [None], [True]])
def test_a_level(plain, level):
    with pytest.raises(InputError, match="level must"):
        plain.predict(2, level=level)


def test_kinds_of_intervals(plain):
    with pytest.raises(InputError, match="'bootstrap'"):
        plain.predict(2, level=95, intervals="student")


def ahead(h=3):
    ds = pd.date_range("2020-02-10", periods=h, freq="D")
    return pd.DataFrame(
        {"unique_id": np.repeat(["a", "b"], h), "ds": np.tile(ds, 2), "temp": 0.5, "wind": np.arange(2.0 * h)}
    )


def test_future_regressors_are_absent(driven):
    with pytest.raises(FutureExogError, match="'temp', 'wind'"):
        driven.predict(3)
    with pytest.raises(FutureExogError, match="wind"):
        driven.predict(3, X_df=ahead().rename(columns={"wind": "wnid"}))


def test_future_regressors_are_short_or_wrongly_dated(driven):
    with pytest.raises(FutureExogError, match=r"lacks 2 of the 8.*'a', 2020-02-13"):
        driven.predict(4, X_df=ahead(3))
    late = ahead().assign(ds=ahead()["ds"] + pd.Timedelta(days=1))
    with pytest.raises(FutureExogError, match="2020-02-10"):
        driven.predict(3, X_df=late)
    with pytest.raises(FutureExogError, match="'b'"):
        driven.predict(3, X_df=ahead().query("unique_id == 'a'"))
    with pytest.raises(FutureExogError, match="NaN"):
        driven.predict(3, X_df=ahead().assign(temp=np.nan))


def test_future_regressors_nobody_asked_for(plain):
    with pytest.raises(InputError, match="without exog"):
        plain.predict(3, X_df=ahead())


def test_columns_of_the_future_come_in_any_order(driven):
    want = driven.predict(3, level=95, X_df=ahead())
    turned = ahead().sample(frac=1.0, random_state=1)[["wind", "ds", "temp", "unique_id"]]
    pd.testing.assert_frame_equal(driven.predict(3, level=95, X_df=turned), want, check_exact=True)
    swapped = driven.predict(3, X_df=ahead().rename(columns={"wind": "temp", "temp": "wind"}))
    assert not np.allclose(swapped["ARX"], want["ARX"])


def test_disk_full_while_saving_leaves_nothing(plain, tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def fsync(fd):
        calls.append(fd)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd)

    monkeypatch.setattr(version.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        plain.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_disk_full_while_saving_over_a_model_keeps_the_old_one(plain, tmp_path, monkeypatch):
    path = tmp_path / "model"
    fc.fit(DF, fc.Naive(), freq="D").save(path)
    want = fc.load(path).predict(3)

    def fsync(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(version.os, "fsync", fsync)
        with pytest.raises(OSError, match="No space"):
            plain.save(path)
    pd.testing.assert_frame_equal(fc.load(path).predict(3), want)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_saving_into_a_folder_of_something_else(plain, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not a model"):
        plain.save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_foreign_folder(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(ArtifactError, match="manifest"):
            fc.load(path)
    (tmp_path / "manifest.json").write_text(json.dumps({"hello": "world"}))
    with pytest.raises(ArtifactError):
        fc.load(tmp_path)


@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_a_corrupt_folder(plain, tmp_path, how):
    plain.save(tmp_path / "m")
    (chunk,) = (tmp_path / "m" / "chunks").iterdir()
    data = bytearray(chunk.read_bytes())
    if how == "flip":
        data[len(data) // 2] ^= 1
        chunk.write_bytes(data)
    elif how == "cut":
        chunk.write_bytes(data[:-7])
    else:
        chunk.unlink()
    with pytest.raises(ArtifactError, match=chunk.stem[:12]):
        fc.load(tmp_path / "m")
