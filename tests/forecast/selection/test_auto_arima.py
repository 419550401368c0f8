"""The stepwise search, on functions whose minimum is known, and against R."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.sarimax import Order, SarimaxFit
from forecast.selection.auto_arima import (
    AutoARIMA,
    Candidate,
    Limits,
    differences,
    exhaustive,
    sound,
    stepwise,
)
from forecast.types import Status

LIMITS = Limits(5, 5, 2, 2, True)


def _panel(y, exog=None):
    return Panel(
        np.array(y, float), np.array([0, len(y)]), np.array(["a"], dtype=object), np.zeros(1, dtype=np.int64),
        Freq("1"), exog or {},
    )  # fmt: skip


@pytest.fixture(scope="module")
def classic(fixtures):
    data = json.loads((fixtures / "r" / "classic_data.json").read_text())["series"]
    return lambda name: np.array([np.nan if v in (None, "NA") else v for v in data[name]["y"]], float)


def _aicc(r):
    k, n = int(r.n_params[0]), int(r.n_used[0])
    return -2 * r.loglik[0] + 2 * k + 2 * k * (k + 1) / (n - k - 1)


@given(st.tuples(*(st.integers(0, top) for top in LIMITS[:4]), st.booleans()))
def test_a_bowl_is_walked_to_its_bottom(target):
    seen = []

    def score(c):
        seen.append(c)
        return sum((a - b) ** 2 for a, b in zip(c, target, strict=True))

    assert stepwise(score, LIMITS) == Candidate(*target)
    assert len(seen) == len(set(seen)) <= 94  # no model is fitted twice
    assert all(LIMITS.allows(c) for c in seen)


def test_a_search_without_any_sound_start_has_no_answer():
    assert stepwise(lambda c: math.inf, LIMITS) is None
    assert exhaustive(lambda c: math.inf, LIMITS) is None


def test_the_exhaustive_search_sees_every_order_up_to_five():
    seen = []
    best = exhaustive(lambda c: seen.append(c) or abs(c.p - 3) + abs(c.Q - 2) + c.q + c.P + c.const, LIMITS)
    assert best == Candidate(3, 0, 0, 2, False)
    assert max(sum(c[:4]) for c in seen) == 5


def test_roots_near_the_unit_circle_are_not_sound():
    def fit(phi, theta):
        return SarimaxFit(
            Order(len(phi), 0, len(theta)), np.array(phi), np.array(theta),
            np.zeros(0), np.zeros(0), np.zeros(0), 1.0, 0.0, 50, None, np.zeros(0, dtype=np.bool_), True,
        )  # fmt: skip

    assert sound(fit([0.98], [0.5]))  # root 1.02
    assert not sound(fit([0.995], []))  # root 1.005
    assert not sound(fit([], [-0.999]))


def test_differences_are_taken_of_what_regressors_leave():
    rng = np.random.default_rng(0)
    t = np.arange(80.0)
    y = 5.0 * t + rng.normal(size=80)
    assert differences(AutoARIMA(), y, np.ones((80, 1)))[0] > 0
    assert differences(AutoARIMA(), y, np.column_stack([np.ones(80), t])) == (0, 0)
    assert differences(AutoARIMA(d=2, D=1, season_length=4), y, np.ones((80, 1))) == (2, 1)


@pytest.mark.parametrize(("name", "aicc"), [("lh", 65.3038), ("WWWusage", 514.5521), ("austres", 653.1321)])
def test_the_criterion_is_no_worse_than_that_of_r(classic, name, aicc):
    """auto_arima_classic.json; austres there has a seasonal term, left out here: (0, 2, 1) by itself."""
    r = AutoARIMA().fit(_panel(classic(name)))
    assert r.status[0] == Status.OK
    assert _aicc(r) <= aicc + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Nile", "LakeHuron", "presidents"])
def test_the_criterion_is_no_worse_than_that_of_r_on_more(classic, shared, name):
    fits = json.loads((shared / "goldens" / "r" / "auto_arima_classic.json").read_text())["fits"]
    want = min(f["aicc"] for f in fits if f["series"] == name and not f.get("xreg"))
    assert (
        _aicc(AutoARIMA().fit(_panel(classic(name)))) <= want + 0.1
    )  # R's exact differenced likelihood is off by 1e-2


def test_hopeless_series_fall_back():
    for y, status in (([1.0, 2.0], Status.TOO_SHORT), ([3.0] * 30, Status.CONSTANT)):
        assert AutoARIMA().fit(_panel(y)).status[0] == status
    line = AutoARIMA().fit(_panel(np.arange(40.0)))
    assert line.status[0] >= Status.GUARDED
    assert line.messages[0]


@pytest.mark.parametrize(
    "arguments", [{"ic": "mse"}, {"max_p": -1}, {"backend": "x"}, {"season_length": 0}, {"d": -1}]
)
def test_values_without_a_meaning_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        AutoARIMA(**arguments)
