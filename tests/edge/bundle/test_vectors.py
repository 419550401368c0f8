"""References of the parity vectors, against the library by another way: filtered over new data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from edge.bundle.closed_vectors import Closed, answers, closed_vectors, decoded, own_history
from edge.bundle.references import ahead, transformed
from edge.bundle.sampling import sample
from edge.bundle.step_vectors import TICKS, step_vectors
from edge.fleet import Fleet
from edge.graph.plain import signature
from forecast.models.assemble import take
from forecast.models.forecasting import calibration
from tests.edge.test_exporting import MODELS, frame

H, NEW = 5, 7
STATELESS = ["AR", "trend", "seasons", "ARX", "SAR", "ARIMAX", "SeasonalNaive", "Drift", "AutoAR"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fitted():
    return fc.fit(frame(t=90), list(MODELS.values()), freq="MS", exog=["price"], n_jobs=1)


@pytest.fixture(scope="module")
def later():
    """The months after the data, without gaps, and regressors of the months after these."""
    whole = frame(t=90 + NEW + H, seed=1)
    whole["y"] = whole["y"].interpolate()
    when = whole.groupby("unique_id").cumcount()
    return whole[(when >= 90) & (when < 90 + NEW)], whole[when >= 90 + NEW]


def closed_of(records, levels=(80,)):
    fleet = Fleet.of(records)
    how = signature(fleet)
    return Closed(records, how.names, how.n_lags, how.n_past, how.needs_t, H, levels)


@pytest.mark.parametrize("model", STATELESS)
def test_an_answer_is_what_the_library_says_after_the_same_values(fitted, later, model):
    new, future = later
    k = [m.alias for m in fitted.models].index(model)
    records = fitted.records[k]
    closed = closed_of(records)
    seen = pd.concat([frame(t=90), new]).sort_values(["unique_id", "ds"])
    seen["y"] = seen["y"].interpolate()
    y = seen["y"].to_numpy().reshape(4, 90 + NEW)
    lags = y[:, ::-1][:, : closed.n_lags].copy()
    price = pd.concat([seen, future]).sort_values(["unique_id", "ds"])["price"].to_numpy().reshape(4, -1)
    first = 90 + NEW - closed.n_past
    x = np.zeros((4, closed.n_past + H, len(closed.names)))
    for j, name in enumerate(closed.names):
        if name == "price":
            x[:, :, j] = price[:, first : first + closed.n_past + H]
    got = answers(closed, records, lags, np.full(4, 90 + NEW), x)
    moved = fitted.update(new)
    want = moved.predict(H, X_df=future[["unique_id", "ds", "price"]])[model].to_numpy().reshape(4, H)
    # The first series ended with a gap: what stood there is not what the lags say, until they have passed.
    rows = [0, 1, 2, 3] if closed.n_lags <= NEW else [1, 2, 3]
    np.testing.assert_allclose(got["mean"][rows], want[rows], rtol=1e-9)
    assert (got["lo"] <= got["mean"][:, None]).all()
    half = (got["hi"] - got["lo"])[:, 0] / 2 / records.scale[:, None]
    np.testing.assert_allclose(half, 1.2815515655446004 * np.sqrt(got["variance"]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", STATELESS)
def test_the_own_history_gives_the_own_forecast(fitted, model):
    records = fitted.records[[m.alias for m in fitted.models].index(model)]
    closed = closed_of(records)
    inputs = own_history(closed)
    assert np.isfinite(inputs["lags"]).all()
    vectors = closed_vectors(closed, np.array([0, 2]))
    np.testing.assert_array_equal(vectors["closed.index"], [0, 2, 0, 2])
    assert not np.array_equal(vectors["closed.lags"][:2], vectors["closed.lags"][2:])
    assert vectors["closed.mean"].shape == vectors["closed.variance"].shape == (4, H)
    if not closed.names:
        own = ahead(take(records, np.array([2])), H, (), {})
        np.testing.assert_allclose(vectors["closed.mean"][1], own.mean[0], rtol=1e-10)


def test_decoded_coefficients_keep_the_mean(fitted):
    records = fitted.records[0]
    fleet = Fleet.of(records)
    shrunk = decoded(records, fleet, fleet.phi * 0.9, fleet.seasonal_phi)
    again = Fleet.of(shrunk)
    np.testing.assert_allclose(again.mean, fleet.mean, rtol=1e-12)
    np.testing.assert_allclose(again.phi, fleet.phi * 0.9)
    same = decoded(records, fleet, fleet.phi, fleet.seasonal_phi)
    np.testing.assert_allclose(same.const, records.const, rtol=1e-12)


@pytest.mark.parametrize("model", list(MODELS))
def test_ticks_have_gaps_and_go_on(fitted, model):
    records = fitted.records[[m.alias for m in fitted.models].index(model)]
    fleet = Fleet.of(records)
    found = step_vectors(records, fleet, np.arange(4), H, (80, 95))
    y, z = found["step.y"], found["step.z"]
    assert y.shape == (TICKS, 4)
    assert np.isnan(y[0, 0])
    assert np.isnan(y[3:5, 2]).all()
    assert not np.isnan(y[-1]).any()
    np.testing.assert_array_equal(np.isnan(z), np.isnan(y))
    assert np.isfinite(found["step.imputed"]).all()
    seen = ~np.isnan(y)
    np.testing.assert_array_equal(found["step.imputed"][seen], y[seen])
    assert (found["step.lo"][:, :, 1] <= found["step.lo"][:, :, 0]).all()  # 95 % is wider than 80 %
    again = step_vectors(records, fleet, np.arange(4), H, (80, 95))
    assert all(np.array_equal(found[name], again[name], equal_nan=True) for name in found)


def test_innovations_that_are_rounding_are_no_reference(fitted):
    from dataclasses import replace

    records = fitted.records[0]
    far = replace(records, levels=records.levels + 1e9)
    assert "step.z" in step_vectors(records, Fleet.of(records), np.arange(4), H, ())
    assert "step.z" not in step_vectors(far, Fleet.of(far), np.arange(4), H, ())


def test_a_missing_value_is_the_forecast_of_the_step_before(fitted):
    records = fitted.records[0]
    found = step_vectors(records, Fleet.of(records), np.arange(4), H, ())
    assert "step.lo" not in found
    gaps = np.argwhere(np.isnan(found["step.y"][1:]))
    assert len(gaps) > 2
    for k, i in gaps:
        assert found["step.imputed"][k + 1, i] == pytest.approx(found["step.mean"][k, i, 0], rel=1e-12)


def test_variances_are_calibrated(fitted):
    from dataclasses import replace

    records = fitted.records[0]
    wide = replace(records, oos_scale=np.full(4, 2.0))
    assert (calibration(wide) == 2).all()
    one, two = ahead(records, H, (80,), {}), ahead(wide, H, (80,), {})
    np.testing.assert_allclose(
        two.variance, 4 * one.variance / calibration(records)[:, None] ** 2, rtol=1e-12
    )


def test_what_has_no_logarithm_is_missing(fitted):
    from dataclasses import replace

    from forecast.models.records import Transform

    records = fitted.records[0]
    log = replace(records, transform=np.full(4, Transform.LOG, dtype=np.uint8), scale=np.full(4, 2.0))
    got = transformed(log, np.array([[2.0, -1.0, 0.0]] * 4))
    np.testing.assert_array_equal(got[0], [0.0, np.nan, np.nan])
    np.testing.assert_array_equal(
        transformed(replace(records, scale=np.full(4, 2.0)), np.full((4, 1), 3.0)), 1.5
    )


def test_a_sample_has_one_of_every_kind_and_the_largest_pole(fitted):
    fleet = Fleet.of(take(fitted.records[0], np.arange(4)))
    many = fleet.take(np.arange(200) % 4)
    bits = np.full(200, 8)
    bits[[17, 150]] = 4, 16
    pole = np.linspace(0, 0.9, 200)
    pole[63] = 0.999
    rows = sample(many, bits, pole, 8)
    assert {17, 150, 63, 0} <= set(rows.tolist())
    assert len(rows) == 8
    assert (np.diff(rows) > 0).all()
    assert sample(fleet, bits[:4], pole[:4], 8).tolist() == [0, 1, 2, 3]
