import numpy as np
import pandas as pd
import pytest

import forecast as fc

N = 200


def frame():
    rng = np.random.default_rng(2)
    y = np.zeros((2, N))
    for t in range(1, N):
        y[:, t] = 0.7 * y[:, t - 1] + rng.normal(size=2)
    ds = pd.date_range("2020-01-01", periods=N, freq="h")
    return pd.DataFrame({"unique_id": np.repeat(["a", "b"], N), "ds": np.tile(ds, 2), "y": y.ravel() + 100})


DF = frame()


@pytest.fixture(scope="module")
def fitted():
    return fc.fit(DF, [fc.AR(lags=1), fc.Naive()], freq="h")


def test_columns_and_rows(fitted):
    got = fitted.predict(3, level=[95, 80, 95])
    assert list(got.columns) == [
        "unique_id", "ds", "AR", "AR-lo-80", "AR-hi-80", "AR-lo-95", "AR-hi-95",
        "Naive", "Naive-lo-80", "Naive-hi-80", "Naive-lo-95", "Naive-hi-95",
    ]  # fmt: skip
    assert got["unique_id"].tolist() == ["a"] * 3 + ["b"] * 3
    assert got["ds"].tolist()[:3] == list(pd.date_range("2020-01-09 08:00", periods=3, freq="h"))
    assert list(fitted.predict(1, level=99.5).columns)[3] == "AR-lo-99.5"
    assert list(fitted.predict(1).columns) == ["unique_id", "ds", "AR", "Naive"]


def test_the_mean_by_hand(fitted):
    (r, _) = fitted.records
    last = DF["y"][N - 1]
    first = r.const[0] + r.phi[0, 0] * last
    np.testing.assert_allclose(
        fitted.predict(2)["AR"][:2], [first, r.const[0] + r.phi[0, 0] * first], rtol=1e-14
    )


def test_simulated_paths_have_the_moments_of_the_forecast(fitted):
    paths = fitted.simulate(4, n_paths=4000, seed=2)
    assert list(paths.columns) == ["unique_id", "ds", "path", "AR", "Naive"]
    assert len(paths) == 2 * 4000 * 4
    ahead = fitted.predict(4, level=95)
    for name in ("AR", "Naive"):
        by = paths.groupby(["unique_id", "ds"], sort=False)[name]
        sd = (ahead[f"{name}-hi-95"] - ahead[f"{name}-lo-95"]).to_numpy() / (2 * 1.959964)
        # Standard errors over 4,000 paths: sd / 63 for the mean, 1.1 % for the deviation; four of each.
        assert (np.abs(by.mean().to_numpy() - ahead[name]) < 4 * sd / 63).all()
        np.testing.assert_allclose(by.std().to_numpy(), sd, rtol=0.05)


def test_paths_of_a_series_do_not_depend_on_the_others(fitted):
    alone = fc.fit(DF[DF["unique_id"] == "b"], [fc.AR(lags=1), fc.Naive()], freq="h")
    want = fitted.simulate(3, n_paths=5, seed=9)
    want = want[want["unique_id"] == "b"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.simulate(3, n_paths=5, seed=9), want, check_exact=True)


def test_bootstrapped_intervals(fitted):
    gauss = fitted.predict(3, level=[80, 95])
    boot = fitted.predict(3, level=[80, 95], intervals="bootstrap", n_paths=4000, seed=3)
    assert list(boot.columns) == list(gauss.columns)
    width = [(f["AR-hi-95"] - f["AR-lo-95"]).to_numpy() for f in (boot, gauss)]
    # Residuals are Gaussian here: quantiles of 4,000 paths and of 199 residuals agree to about a tenth.
    np.testing.assert_allclose(*width, rtol=0.15)
    again = fitted.predict(3, level=[80, 95], intervals="bootstrap", n_paths=4000, seed=3)
    pd.testing.assert_frame_equal(again, boot, check_exact=True)
    plain = fitted.predict(3, intervals="bootstrap")
    pd.testing.assert_frame_equal(plain, fitted.predict(3))
