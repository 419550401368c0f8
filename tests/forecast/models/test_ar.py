import numpy as np
import pytest

import forecast as fc
from forecast.errors import InputError
from forecast.models.ar_spec import DEFAULT_MAX_LAGS, resolve_lags
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        ({}, "burg"),
        ({"lags": 3}, "burg"),
        ({"lags": [1, 2, 3]}, "burg"),
        ({"lags": [1, 3]}, "ols"),
        ({"trend": "ct"}, "ols"),
        ({"seasonal": True}, "ols"),
        ({"seasonal": True, "season_length": 12}, "ols"),
        ({"backend": "statsmodels"}, "ols"),
        ({"lags": 2, "trend": "ct", "method": "burg"}, "burg"),
    ],
    ids=str,
)
def test_the_method_that_suits(arguments, method):
    assert fc.AR(**arguments).plan().method == method


def test_candidates_and_criterion():
    lags, criterion = resolve_lags("bic", None)
    assert (lags.tolist(), criterion) == (list(range(1, DEFAULT_MAX_LAGS + 1)), 3)
    assert resolve_lags(3, None)[0].tolist() == [1, 2, 3]
    assert resolve_lags([4, 1], None)[0].tolist() == [1, 4]
    assert resolve_lags(0, None)[0].tolist() == []
    assert resolve_lags(np.int64(2), None)[0].tolist() == [1, 2]


@pytest.mark.parametrize("lags", [True, -1, 2.5, None, "p", [0], [1, 1], [1.0]])
def test_lags_without_a_meaning(lags):
    with pytest.raises(InputError, match=r"lags|unknown criterion"):
        resolve_lags(lags, None)


def test_terms_of_regressors():
    plan = fc.ARX(exog_lags={"b": [0, 3]}).plan(["a", "b"])
    assert plan.exog == (ExogTerm("a", 0), ExogTerm("b", 0), ExogTerm("b", 3))
    assert not plan.pure


def test_a_season_must_be_known_by_the_time_of_the_fit():
    y = np.sin(np.arange(30.0))
    start, ids = np.zeros(1, dtype=np.int64), np.array(["a"], dtype=object)
    panel = Panel(y, np.array([0, 30]), ids, start, Freq("1"))
    with pytest.raises(InputError, match="season_length=12"):
        fc.AR(seasonal=True).fit(panel)
