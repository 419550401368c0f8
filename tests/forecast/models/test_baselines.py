import numpy as np
import pytest

import forecast as fc
from forecast.errors import InputError
from forecast.models.baselines import fallback, walk
from forecast.models.forecasting import forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import Family
from forecast.types import Status


def panel(*series):
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    ids = np.array([str(i) for i in range(len(series))], dtype=object)
    values = np.concatenate([np.asarray(s, dtype=float) for s in series])
    return Panel(values, indptr, ids, np.zeros(len(series), dtype=np.int64), Freq("1"))


def ahead(model, y, h=3):
    records = model.fit(panel(y))
    return records, forecast(records, h, (95,))


def test_naive_by_hand():
    records, f = ahead(fc.Naive(), [1.0, 3.0, 2.0])
    assert f.mean.tolist() == [[2.0, 2.0, 2.0]]
    assert records.sigma2[0] == (4 + 1) / 2
    # The variance grows by sigma2 a step.
    np.testing.assert_allclose(f.sd[0] ** 2, [2.5, 5.0, 7.5])


def test_drift_by_hand():
    records, f = ahead(fc.Drift(), [1.0, 4.0, 3.0, 7.0])
    np.testing.assert_allclose(f.mean, [[9.0, 11.0, 13.0]])  # (7 - 1) / 3 = 2 a step
    assert records.slope[0] == 2.0
    assert records.sigma2[0] == pytest.approx((1 + 9 + 4) / 2)  # one step less: the drift is estimated


def test_seasonal_naive_by_hand():
    records, f = ahead(fc.SeasonalNaive(season_length=2), [1.0, 5.0, 2.0, 7.0, 1.0])
    assert f.mean.tolist() == [[7.0, 1.0, 7.0]]
    assert records.sigma2[0] == pytest.approx((1 + 4 + 1) / 3)
    np.testing.assert_allclose(f.sd[0] ** 2 / records.sigma2[0], [1, 1, 2])


def test_a_gap_counts_as_several_steps():
    records, f = ahead(fc.Naive(), [0.0, np.nan, 4.0, np.nan])
    assert f.mean[0, 0] == 4.0
    assert records.sigma2[0] == 8.0  # 4^2 over two steps
    assert f.sd[0, 0] ** 2 == pytest.approx(16.0)  # one step for the gap, one ahead


def test_a_season_never_seen_takes_its_neighbour():
    _, f = ahead(fc.SeasonalNaive(season_length=3), [1.0, np.nan, 3.0, 1.5, np.nan, 3.5])
    assert np.isfinite(f.mean).all()


@pytest.mark.parametrize(
    ("model", "y", "status"),
    [
        (fc.Naive(), [1.0], Status.TOO_SHORT),
        (fc.Naive(), [1.0, 1.0, 1.0], Status.CONSTANT),
        (fc.Naive(), [np.nan, np.nan], Status.ALL_MISSING),
        (fc.Drift(), [1.0, 2.0], Status.TOO_SHORT),
        (fc.Drift(), [1.0, 2.0, 3.0, 4.0], Status.OK),
        (fc.Drift(), [1.0, 1.0, 1.0], Status.CONSTANT),
        (fc.SeasonalNaive(season_length=2), [1.0, 2.0, 1.0, 2.0], Status.OK),
        (fc.SeasonalNaive(season_length=2), [1.0, 1.0, 1.0, 1.0], Status.CONSTANT),
        (fc.SeasonalNaive(season_length=4), [1.0, 2.0, 3.0], Status.TOO_SHORT),
        (fc.Naive(), [1e300, 2e300, -1e300], Status.RESCALED),
    ],
)
def test_statuses(model, y, status):
    records = model.fit(panel([0.0, 1.0, 0.5, 2.0, 1.0], y))
    assert records.status.tolist()[1] == status
    assert (1 in records.messages) == (status != Status.OK)


def test_a_fallback_says_why_and_carries_lines_on():
    p = panel([5.0, 1.0, 2.0], np.arange(8.0), [3.0] * 6)
    status = np.full(2, Status.FAILED, dtype=np.uint8)
    records = fallback(p, np.array([1, 0]), status, {0: "no reason"})
    assert records.family.tolist() == [Family.DRIFT, Family.NAIVE]
    assert records.status.tolist() == [Status.FAILED] * 2
    assert dict(records.messages) == {0: "no reason"}
    np.testing.assert_allclose(forecast(records, 2, ()).mean, [[8.0, 9.0], [2.0, 2.0]])


def test_likelihood_of_a_walk():
    y = np.random.default_rng(0).normal(size=30).cumsum()
    records = walk(panel(y), Family.NAIVE)
    e = np.diff(y)
    want = -0.5 * np.sum(np.log(2 * np.pi * np.mean(e**2)) + e**2 / np.mean(e**2))
    assert records.loglik[0] == pytest.approx(want)
    assert records.n_used[0] == 29


def test_a_season_of_nothing():
    with pytest.raises(InputError, match="season_length"):
        fc.SeasonalNaive(season_length=-1)
