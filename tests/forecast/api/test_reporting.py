import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.api.reporting import aicc, loglik, order_texts
from forecast.models.records import Family, Transform
from tests.strategies import make_records


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"family": Family.AR, "phi": [0.5, 0.1]}, "AR(2)"),
        ({"family": Family.AR}, "AR(0)"),
        ({"family": Family.AR, "phi": [0.5, 0.0, 0.1]}, "AR[1,3]"),
        ({"family": Family.ARX, "phi": [0.5]}, "ARX(1)"),
        ({"family": Family.AR, "phi": [0.5], "d": 1, "levels": [1.0, 2.0]}, "(1,1,0)"),
        ({"family": Family.AR, "phi": [0.5], "transform": Transform.LOG}, "log AR(1)"),
        ({"family": Family.NAIVE, "d": 1}, "Naive"),
        ({"family": Family.DRIFT, "d": 1}, "Drift"),
        ({"family": Family.SEASONAL_NAIVE, "D": 1, "season_length": 7}, "SeasonalNaive[7]"),
        ({"family": Family.ARIMA, "phi": [0.5], "theta": [0.1], "d": 1}, "(1,1,1)"),
        (
            {"family": Family.ARIMA, "seasonal_theta": [0.1], "D": 1, "season_length": 12},
            "(0,0,0)(0,1,1)[12]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_orders_in_words(fields, text):
    assert order_texts(make_records(1, **fields)) == [text]


def test_the_likelihood_is_in_units_of_y():
    y = np.random.default_rng(0).normal(size=50).cumsum() + 10
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(50), "y": y})
    plain = fc.fit(df, fc.AR(lags=1), freq=1).report()
    # 2^220 times larger: kept in another unit, and every density is divided by 2^220.
    large = fc.fit(df.assign(y=y * 2.0**220), fc.AR(lags=1), freq=1)
    assert large.records[0].scale[0] != 1
    assert large.report()["loglik"][0] == pytest.approx(plain["loglik"][0] - 50 * 220 * np.log(2), rel=1e-12)
    assert large.report()["sigma2"][0] == pytest.approx(plain["sigma2"][0] * 2.0**440, rel=1e-12)


def test_aicc_by_hand():
    r = make_records(1, loglik=np.array([-20.0]), n_params=3, n_used=10)
    assert loglik(r)[0] == -20.0
    assert aicc(r)[0] == pytest.approx(40 + 6 + 2 * 3 * 4 / (10 - 3 - 1))  # Hurvich and Tsai
    assert aicc(make_records(1, loglik=np.array([-20.0]), n_params=3, n_used=4))[0] == np.inf
    assert np.isnan(aicc(make_records(1, loglik=np.array([np.nan]), n_params=3, n_used=10))[0])


def test_diagnostics_of_several_models():
    rng = np.random.default_rng(1)
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(120), "y": rng.normal(size=120).cumsum()})
    fitted = fc.fit(df, [fc.AR(lags=1), fc.SeasonalNaive(season_length=4)], freq=1)
    table = fitted.diagnostics()
    assert table["model"].tolist() == ["AR", "SeasonalNaive"]
    p = table["ljung_box_p"].to_numpy()
    assert p[0] > 0.01  # white residuals
    assert p[1] < 1e-6  # seasonal differences of a random walk are not
    assert p[0] == fitted.report()["ljung_box_p"][0]
