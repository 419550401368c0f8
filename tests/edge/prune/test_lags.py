from dataclasses import replace

import numpy as np
import pytest

from edge.prune import prune_lags
from edge.prune.validation import first_validated
from forecast.models.ar import AR, ARX
from forecast.models.arima import ARIMA
from forecast.models.assemble import place, take
from forecast.models.baselines import Naive
from forecast.models.certificate import certify
from forecast.models.codec import decode, encode
from forecast.models.forecasting import forecast
from forecast.models.soundness import flaw
from forecast.types import Status
from tests.edge.prune.cases import SPARSE, assert_row, kept, panel_of, paths
from tests.oracles import edge_prune as oracle
from tests.strategies import make_records


def test_sparse_truths_lose_their_useless_lags(pruned):
    assert pruned.changed.all()
    assert (pruned.lags_before == 24).all()
    assert pruned.lags_kept.mean() <= 24 / 4
    assert all({1, 5, 12} <= set(kept(pruned.records, i)) for i in range(12))
    assert (pruned.rise <= 0.005).all()


def test_the_lags_are_those_of_the_bic_and_the_fit_is_least_squares_on_every_row(pruned, panel):
    checked = 0
    for i in range(12):
        y = panel.series(i)
        z = np.ones((500, 1))
        x, target = oracle.regression(y - y.mean(), z, range(1, 25))
        want = [j + 1 for j in oracle.bic_choice(x, target, 1)]
        found = kept(pruned.records, i)
        assert set(want) <= set(found)  # the guard may have walked back
        checked += found == want
        x, target = oracle.regression(y, z, found)
        coef, rss = oracle.least_squares(x, target)
        assert pruned.records.const[i] == pytest.approx(coef[0], rel=1e-7)
        np.testing.assert_allclose(pruned.records.phi[i, np.array(found) - 1], coef[1:], atol=1e-9)
        assert pruned.records.sigma2[i] == pytest.approx(rss / len(target), rel=1e-9)
        assert pruned.records.n_used[i] == len(target)
        assert pruned.records.n_params[i] == len(found) + 2
        assert pruned.records.loglik[i] == pytest.approx(
            -0.5 * len(target) * (np.log(2 * np.pi * rss / len(target)) + 1)
        )
    assert checked >= 10


def test_the_rise_is_that_of_fits_on_what_comes_before_the_validated_part(pruned, panel):
    i, y = 3, panel.series(3)
    first, z = first_validated(500, 24), np.ones((500, 1))

    def rmse(lags):
        x, target = oracle.regression(y[:first], z[:first], range(1, 25))
        columns = [0, *(lag for lag in lags)]
        coef, _ = oracle.least_squares(x[:, columns], target)
        phi = np.zeros(24)
        phi[np.array(lags) - 1] = coef[1:]
        return oracle.rolling_rmse(y, np.full(500, coef[0]), phi, 24, first)[0]

    want = rmse(kept(pruned.records, i)) / rmse(list(range(1, 25))) - 1
    assert pruned.rise[i] == pytest.approx(want, abs=1e-9)


def test_records_stay_sound_and_certified(pruned):
    out = pruned.records
    assert flaw(out) is None
    assert flaw(decode(encode(out))) is None
    found = certify(out.phi, out.p)
    assert found.passed.all()
    np.testing.assert_array_equal(out.parcor, found.parcor)
    np.testing.assert_array_equal(out.margin, found.margin)
    np.testing.assert_array_equal(out.max_pole, found.max_pole)
    assert out.phi.shape[1] == out.p.max()
    assert [lags[-1] for lags in (kept(out, i) for i in range(12))] == out.p.tolist()


def test_the_end_state_is_the_last_values(pruned, panel):
    for i in range(12):
        p = pruned.records.p[i]
        np.testing.assert_array_equal(pruned.records.levels[i, :p], panel.series(i)[::-1][:p])
    assert np.isfinite(forecast(pruned.records, 24).mean).all()


def test_forecasts_hardly_move(pruned, records):
    before, after = forecast(records, 24), forecast(pruned.records, 24)
    assert np.abs(after.mean - before.mean).max() < 1.0  # innovations have variance 1
    np.testing.assert_allclose(after.sd, before.sd, rtol=0.1)


def test_one_series_is_pruned_as_among_many(pruned, records, panel):
    one = prune_lags(take(records, np.array([7])), panel.take(np.array([7])))
    assert kept(one.records, 0) == kept(pruned.records, 7)
    np.testing.assert_allclose(one.records.sigma2, pruned.records.sigma2[7:8], rtol=1e-12)


def test_order_and_company_of_the_panel_do_not_matter(pruned, records, panel):
    other = prune_lags(records, panel.take(np.arange(12)[::-1]))
    np.testing.assert_array_equal(other.records.phi, pruned.records.phi)


def test_points_after_the_record_are_ignored(pruned, records, panel):
    longer = panel_of([np.append(panel.series(i), [1e6] * 5) for i in range(12)])
    np.testing.assert_array_equal(prune_lags(records, longer).records.phi, pruned.records.phi)


def test_nothing_is_lost_of_what_cannot_be_pruned(panel):
    short = panel_of([panel.series(0), panel.series(1)[:70], panel.series(2)])
    records = AR(lags=12).fit(short)
    found = prune_lags(records, short)
    assert found.reason.tolist() == ["", found.reason[1], ""]
    assert found.reason[1].startswith("too short: ")
    assert_row(found.records, records, 1)
    assert found.lags_kept[1] == found.lags_before[1] == 12
    assert np.isnan(found.rise[1])
    assert flaw(found.records) is None


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (ARIMA(order=(1, 0, 1)), "it has a moving average"),
        (ARIMA(order=(1, 0, 0), seasonal_order=(1, 0, 0), season_length=4), "it has a seasonal factor"),
        (Naive(), "it has no lags"),
    ],
)
def test_models_without_plain_lags_are_left_alone(model, why):
    data = panel_of(paths(2, 120))
    records = model.fit(data)
    found = prune_lags(records, data)
    assert all(text.startswith(why) for text in found.reason)
    assert found.records is records


def test_a_baseline_in_place_of_the_model_is_left_alone(panel):
    data = panel_of([np.full(300, 2.0), panel.series(0)])
    found = prune_lags(AR(lags=24).fit(data), data)
    assert found.reason.tolist() == ["a baseline forecasts it", ""]


@pytest.mark.parametrize("gap", [slice(100, 101), slice(380, 400), slice(495, 500), slice(0, 7)])
def test_gaps_are_left_out(panel, gap):
    series = [panel.series(i).copy() for i in range(4)]
    series[1][gap] = np.nan
    series[2][::50] = np.nan
    data = panel_of(series)
    records = AR(lags=12).fit(data)
    found = prune_lags(records, data)
    assert flaw(found.records) is None
    decode(encode(found.records))
    assert found.changed[[0, 1]].all()
    x, target = oracle.regression(series[1], np.ones((500, 1)), kept(found.records, 1))
    coef, _ = oracle.least_squares(x, target)
    np.testing.assert_allclose(found.records.const[1], coef[0], rtol=1e-6, atol=1e-9)
    assert found.records.n_used[1] == len(target)
    if gap.stop == 500:
        assert 1 in found.records.state_cov
        assert found.records.state_cov[1].shape == (found.records.p[1],) * 2


def test_a_series_of_nothing_but_gaps_at_the_end_has_no_windows(panel):
    y = panel.series(0).copy()
    y[380:] = np.nan
    data = panel_of([y])
    found = prune_lags(AR(lags=6).fit(data), data)
    assert found.reason[0] == "too short: 0 validation windows without a gap, needs 8"


def test_regressors_and_trend_stay_and_are_fitted_again():
    rng = np.random.default_rng(5)
    n, t = 3, 600
    x = rng.normal(size=(n, t))
    y = paths(n, t) + 0.01 * np.arange(t)
    for k in range(2, t):
        y[:, k] += 0.0
    y = y + 2.0 * x + 1.0 * np.roll(x, 1, axis=1)
    data = panel_of(y, {"x": list(x)})
    records = ARX(lags=12, trend="ct", exog_lags={"x": [0, 1]}, fourier={12: 1}).fit(data)
    found = prune_lags(records, data)
    assert found.changed.any()
    i = int(np.flatnonzero(found.changed)[0])
    out = found.records
    time = np.arange(1.0, t + 1)
    z = np.column_stack([np.ones(t), time, x[i], np.append(np.nan, x[i, :-1]),
                         np.sin(2 * np.pi * time / 12), np.cos(2 * np.pi * time / 12)])  # fmt: skip
    rows, target = oracle.regression(y[i], z, kept(out, i))
    coef, rss = oracle.least_squares(rows, target)
    got = [out.const[i], out.slope[i], *out.beta[i]]
    np.testing.assert_allclose(got, coef[:6], rtol=1e-5, atol=1e-8)
    assert out.sigma2[i] == pytest.approx(rss / len(target), rel=1e-8)
    want = rss / len(target) * np.linalg.inv(rows.T @ rows)
    np.testing.assert_allclose(out.param_cov[i], want, rtol=1e-5, atol=1e-6 * np.abs(want).max())
    assert out.n_params[i] == 6 + len(kept(out, i)) + 1
    assert flaw(out) is None
    assert np.isfinite(forecast(out, 3, exog={"x": np.zeros((n, 3))}).sd).all()


def test_a_regression_form_keeps_its_mean_function(panel):
    data = panel_of([panel.series(i) + 0.05 * np.arange(500) for i in range(3)])
    records = AR(lags=24, trend="ct", method="burg").fit(data)
    assert (records.form == 1).all()
    found = prune_lags(records, data)
    assert found.changed.all()
    np.testing.assert_array_equal(found.records.const, records.const)
    np.testing.assert_array_equal(found.records.slope, records.slope)
    u = data.series(0) - records.const[0] - records.slope[0] * np.arange(1, 501)
    x, target = oracle.regression(u, np.zeros((500, 0)), kept(found.records, 0))
    coef, _ = oracle.least_squares(x, target)
    np.testing.assert_allclose(found.records.phi[0, np.array(kept(found.records, 0)) - 1], coef, atol=1e-9)
    np.testing.assert_allclose(found.records.levels[0, :3], u[::-1][:3], rtol=1e-12)


def test_a_differenced_series_is_pruned_on_its_differences(panel):
    levels = np.cumsum(panel.series(0) - panel.series(0).mean())
    data = panel_of([levels])
    base = AR(lags=24).fit(panel_of([np.diff(levels)]))
    records = replace(
        base, d=np.ones(1, dtype=np.int32), nobs=np.array([500], dtype=np.int32), const=np.zeros(1),
        levels=levels[::-1][None, :25].copy(),
    )  # fmt: skip
    found = prune_lags(records, data)
    assert found.changed.all()
    x, target = oracle.regression(np.diff(levels), np.zeros((499, 0)), kept(found.records, 0))
    coef, _ = oracle.least_squares(x, target)
    np.testing.assert_allclose(found.records.phi[0, np.array(kept(found.records, 0)) - 1], coef, atol=1e-8)
    np.testing.assert_array_equal(found.records.levels[0, :3], levels[::-1][:3])
    assert flaw(found.records) is None


def test_a_logarithm_and_a_scale_are_undone(panel):
    w = panel.series(0)
    data, plain = panel_of([8.0 * np.exp(w)]), panel_of([w])
    base = AR(lags=24).fit(plain)
    logged = replace(base, transform=np.ones(1, dtype=np.uint8), scale=np.array([8.0]))
    np.testing.assert_allclose(
        prune_lags(logged, data).records.phi, prune_lags(base, plain).records.phi, atol=1e-10
    )


def test_poles_that_a_refit_puts_outside_are_pulled_inside():
    from edge.prune.refit import Refit, inside

    phi = np.array([1.2, 0.0, 0.0, -0.1, 0.0])
    products = np.eye(4) * 50.0
    products[:3, 3] = products[3, :3] = [1.0, 60.0, -5.0]
    products[3, 3] = 100.0
    fit = Refit(phi, np.array([0.3]), products, np.array([1, 4]), 50, True, 0.0)
    (out,), moved = inside([fit])
    assert moved.tolist() == [True]
    found = certify(out.phi[None], np.array([5]))
    assert found.passed.all()
    assert found.max_pole[0] == pytest.approx(0.9995, abs=1e-9)
    assert np.flatnonzero(out.phi).tolist() == [0, 3]
    growth = out.phi[0] / phi[0]
    assert out.phi[3] / phi[3] == pytest.approx(growth**4)
    # The constant is the mean of what phi leaves: (z'y - z'x phi) / z'z with z'x = 0 here.
    assert out.b[0] == pytest.approx(1.0 / 50.0)
    residual = np.array([-out.b[0], -out.phi[0], -out.phi[3], 1.0])
    assert out.rss == pytest.approx(residual @ products @ residual)


def test_a_repaired_series_says_so(panel, monkeypatch):
    import edge.prune.refit as refit_module

    real = refit_module.refit

    def outside(history, lags, width):
        fit = real(history, lags, width)
        growth = 1.001 / float(certify(fit.phi[None], np.array([width])).max_pole[0])
        return replace(fit, phi=fit.phi * growth ** np.arange(1, width + 1))

    monkeypatch.setattr("edge.prune.batch.refit", outside)
    found = prune_lags(AR(lags=12).fit(panel), panel, max_rise=10.0)
    assert found.changed.all()
    assert (found.records.status == Status.REPAIRED).all()
    assert "poles pulled inside" in found.records.messages[0]
    assert (found.records.max_pole < 0.9999).all()
    assert not found.records.param_cov


def test_a_record_of_many_kinds_of_models_keeps_every_other_series(panel):
    data = panel_of([panel.series(i) for i in range(4)])
    seasonal = ARIMA(order=(1, 0, 1), seasonal_order=(1, 0, 1), season_length=4).fit(data.take(np.arange(2)))
    plain = AR(lags=20).fit(data.take(np.arange(2, 4)))
    records = place([seasonal, plain], [np.array([0, 2]), np.array([1, 3])], 4)
    found = prune_lags(records, data.take(np.array([0, 2, 1, 3])))
    assert found.changed.tolist() == [False, True, False, True]
    for i in (0, 2):
        assert_row(found.records, records, i)
    assert flaw(found.records) is None
    np.testing.assert_allclose(
        forecast(found.records, 5).mean[::2], forecast(records, 5).mean[::2], rtol=1e-14
    )


def test_a_lag_subset_loses_lags_of_its_own_only(panel):
    data = panel_of([panel.series(0)])
    records = AR(lags=[1, 3, 5, 12, 20]).fit(data)
    found = prune_lags(records, data)
    assert found.lags_before[0] == 5
    assert set(kept(found.records, 0)) <= {1, 3, 5, 12, 20}
    assert {1, 5, 12} <= set(kept(found.records, 0))


def test_white_noise_loses_every_lag():
    data = panel_of(np.random.default_rng(3).normal(size=(6, 400)) + 5.0)
    found = prune_lags(AR(lags=12).fit(data), data)
    none = found.lags_kept == 0
    assert none.sum() >= 3
    assert flaw(found.records) is None
    decode(encode(found.records))
    np.testing.assert_allclose(
        forecast(found.records, 2).mean[none, 1], found.records.const[none], rtol=1e-12
    )


def test_a_level_far_from_zero_costs_no_digits(panel):
    y = panel.series(0)
    near, far = panel_of([y]), panel_of([y + 1e9])
    a, b = (prune_lags(AR(lags=12).fit(each), each).records for each in (near, far))
    assert kept(a, 0) == kept(b, 0)
    np.testing.assert_allclose(a.phi, b.phi, atol=1e-5)


@pytest.mark.parametrize("factor", [1e-150, 1e150])
def test_units_do_not_matter(panel, factor):
    data = panel_of([panel.series(0), panel.series(1) * factor])
    found = prune_lags(AR(lags=12).fit(data), data)
    assert found.changed.all()
    assert flaw(found.records) is None


def test_records_without_parcors_get_them(panel):
    fields_ = {"phi": SPARSE + 0.002, "const": 1.0, "nobs": 500, "levels": [0.0] * 12}
    made = make_records(12, **fields_)
    found = prune_lags(made, panel)
    assert found.changed.any()
    assert found.records.parcor.shape == found.records.phi.shape
    assert flaw(found.records) is None
