"""Real bundles on a device: the answers of the library, tick by tick, on every kind of grid and model."""

import numpy as np
import pandas as pd
import pytest

import edge
import forecast as fc
from edge.bundle.keys import new_key
from edge.runtime import Bundle, Device
from edge.runtime.errors import HistoryError, RegressorError
from edge.runtime.installing import install
from edge.runtime.keys import one_key
from forecast import online
from forecast.models.forecasting import forecast
from tests.edge.worlds import at_states

pytestmark = pytest.mark.slow

H, TICKS, LENGTH = 5, 40, 140
KEY = new_key()

CASES = {
    "lagged regressors": (fc.ARX(2, exog_lags={"price": [0, 2]}), "h", None),
    "lags of the past alone": (fc.ARX(1, exog_lags={"price": [3]}), "MS", None),
    "hours and weekdays": (fc.AR(2, calendar=["hour", "dayofweek"]), "6h", None),
    "hours of a zone": (fc.AR(1, calendar=["hour", "month"]), "6h", "Europe/Berlin"),
    "days of a zone": (fc.AR(2, calendar=["dayofweek"]), "D", "America/New_York"),
    "trend and waves": (fc.AR(2, trend="ct", fourier={12: 2}), "ME", None),
    "seasonal": (fc.ARIMA((1, 1, 1), seasonal_order=(0, 1, 1), season_length=12), "QS", None),
    "regression with errors": (fc.ARIMA((1, 0, 1), alias="ARIMAX"), "W-SUN", None),
    "business days": (fc.AR(3), "B", None),
}  # fmt: skip


def series(freq, tz):
    """Two series, then what follows: values (2, TICKS), prices (2, TICKS + H), times (TICKS,)."""
    rng, begin = np.random.default_rng(7), "2024-03-31" if freq == "W-SUN" else "2023-12-01"
    times = pd.date_range(begin, periods=LENGTH + TICKS + H, freq=freq, tz=tz)
    shape = (2, len(times))
    price = rng.normal(size=shape)
    y = 50 + 0.2 * rng.normal(size=shape).cumsum(axis=1) + price + 2 * np.sin(np.arange(shape[1]) / 3)
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(["a", "b"], LENGTH), "ds": times[:LENGTH].append(times[:LENGTH]),
            "y": y[:, :LENGTH].ravel(), "price": price[:, :LENGTH].ravel(),
        }
    )  # fmt: skip
    later = y[:, LENGTH : LENGTH + TICKS]
    later[rng.random(later.shape) < 0.2] = np.nan
    return frame, later, price[:, LENGTH:], times[LENGTH : LENGTH + TICKS]


def to_ms(times):
    utc = times.tz_convert("UTC").tz_localize(None) if times.tz else times
    return utc.as_unit("ms").asi8.tolist()


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    model, freq, tz = CASES[request.param]
    frame, y, price, times = series(freq, tz)
    takes = isinstance(model, fc.ARX | fc.ARIMA)
    frame = frame if takes else frame.drop(columns="price")
    fitted = fc.fit(frame, model, freq=freq, exog=["price"] if takes else None, n_jobs=1)
    done = edge.export(
        fitted,
        tmp_path_factory.mktemp("case") / "b",
        horizon=H,
        sign_key=KEY,
        level=(80,),
        name="case",
        profile="latency",
    )
    return fitted.records[0], done, y, price, to_ms(times)


def test_ticks_are_those_of_the_library(case):
    records, done, y, price, times = case
    states = [online.init(records, i) for i in range(2)]
    with Bundle.open(done.archive, public_key=KEY.public) as bundle:
        for k in range(TICKS):
            for i, name in enumerate(("a", "b")):
                states[i], info = online.tick(records, states[i], i, float(y[i, k]), {"price": price[i, k]})
                got = bundle.step(name, y[i, k], times[k], {"price": price[i, k : k + 1 + H]})
                future = {"price": price[:, k + 1 : k + 1 + H]}
                standing = at_states(records, [states[i]] * 2 if i == 0 else states)
                want = forecast(standing, H, (80.0,), future)
                row = i
                np.testing.assert_allclose(got.mean, want.mean[row], rtol=1e-9)
                assert got.ts_ms == times[k]
                if info.z is None:
                    assert got.z is None
                    assert got.imputed == pytest.approx(info.mean, rel=1e-10)
                else:
                    assert got.z == pytest.approx(info.z, rel=1e-7, abs=1e-9)
                    assert got.imputed == y[i, k]
                again = bundle.forecast(name, X={"price": future["price"][i]})
                np.testing.assert_array_equal(again.mean, got.mean)


def test_a_gap_is_so_many_missing_ticks(case):
    records, done, _, price, times = case
    needs = bool(records.exog) and any(term.name == "price" for term in records.exog)
    with (
        Bundle.open(done.path, public_key=KEY.public) as jump,
        Bundle.open(done.path, public_key=KEY.public) as walk,
    ):
        for k in range(4):
            walk.step("a", None, times[k], {"price": price[0, k : k + 1 + H]})
        want = walk.step("a", 51.0, times[4], {"price": price[0, 4 : 5 + H]})
        if needs:
            with pytest.raises(RegressorError, match="4 points are missing"):
                jump.step("a", 51.0, times[4], {"price": price[0, 4 : 5 + H]})
        elif jump.schema.freq.kind != "ticks":
            got = jump.step("a", 51.0, times[4])
            np.testing.assert_array_equal(got.mean, want.mean)
            assert got.ts_ms == times[4]


def test_histories_are_those_of_the_library(case):
    records, done, y, price, times = case
    with Bundle.open(done.path, public_key=KEY.public) as bundle:
        history = np.nan_to_num(y[0], nan=50.0)
        known = np.r_[price[0], price[0][-1]]
        ask = {"price": known[: TICKS + H]}
        if bundle.schema.closed[0] < 0:
            with pytest.raises(HistoryError, match="moving average"):
                bundle.forecast("a", history, ask, times[-1])
            return
        got = bundle.forecast("a", history, ask, times[-1])
    state = online.init(records, 0)
    for k in range(TICKS):
        state, _ = online.tick(records, state, 0, float(history[k]), {"price": price[0, k]})
    standing = at_states(records, [state] * 2)
    want = forecast(standing, H, (80.0,), {"price": np.stack([known[TICKS : TICKS + H]] * 2)})
    np.testing.assert_allclose(got.mean, want.mean[0], rtol=1e-6)


def test_a_device_takes_it(case, tmp_path):
    _, done, y, price, times = case
    install(done.archive, tmp_path / "root", one_key(KEY.public))
    with Bundle.open(done.path, public_key=KEY.public) as bundle:
        for k in range(5):
            with Device.open(tmp_path / "root") as device:
                got = device.bundle.step("b", y[1, k], times[k], {"price": price[1, k : k + 1 + H]})
            want = bundle.step("b", y[1, k], times[k], {"price": price[1, k : k + 1 + H]})
            np.testing.assert_array_equal(got.mean, want.mean)
            np.testing.assert_array_equal(got.variance, want.variance)
