"""Walks over orders on functions whose minimum is known, and many series in step against one at a time."""

from __future__ import annotations

import itertools
import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.models.freq import Freq
from forecast.models.native_backend import fit_series
from forecast.models.panel import Panel
from forecast.models.sarimax import Order
from forecast.selection.auto_arima import sound
from forecast.selection.lock_step import Question, rankings
from forecast.selection.order_search import Candidate, Limits, Trial, exhaustive, stepwise, walked
from tests.oracles import order_search as oracle

LIMITS = Limits(5, 5, 2, 2, True)


def panel_of(series):
    n = len(series)
    ids = np.array([f"s{i}" for i in range(n)], dtype=object)
    start = np.zeros(n, dtype=np.int64)
    return Panel(np.concatenate(series), np.cumsum([0, *map(len, series)]), ids, start, Freq("1"), {})


@given(st.tuples(*(st.integers(0, top) for top in LIMITS[:4]), st.booleans()))
def test_a_bowl_is_walked_to_its_bottom(target):
    seen = []

    def score(trial):
        if not trial.final:
            seen.append(trial.candidate)
        return sum((a - b) ** 2 for a, b in zip(trial.candidate, target, strict=True))

    assert walked(stepwise(LIMITS), score)[0] == Candidate(*target)
    assert len(seen) == len(set(seen)) <= 94  # no model is fitted twice
    assert all(LIMITS.allows(c) for c in seen)


@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 80), st.tuples(*[st.integers(0, 3)] * 4))
def test_a_rugged_landscape_is_walked_as_written_out(seed, const, most, first):
    """Scores without any order in them, some infinite: every move and every tie counts."""

    def height(c, final):
        digest = zlib.crc32(repr((seed, tuple(int(k) for k in c), final)).encode())
        return math.inf if digest % 11 == 0 else (digest // 11) % 40 + 10.0 * final

    limits = Limits(4, 3, 2, 1, const)
    got = walked(stepwise(limits, first, most), lambda t: height(t.candidate, t.final))
    rough, exact = (lambda c, final=final: height(c, final) for final in (False, True))
    assert [tuple(c) for c in got] == oracle.stepwise(rough, exact, limits[:4], const, first, most)


def test_a_search_without_any_sound_model_has_no_answer():
    assert walked(stepwise(LIMITS), lambda trial: math.inf) == []
    assert walked(exhaustive(LIMITS), lambda trial: math.inf) == []


@pytest.mark.parametrize("total", [3, 5])
def test_the_exhaustive_search_sees_every_order_once(total):
    seen = []

    def score(trial):
        c = trial.candidate
        if not trial.final:
            seen.append(c)
        return abs(c.p - 1) + abs(c.Q - 2) + c.q + c.P + c.const

    assert walked(exhaustive(LIMITS, total), score)[0] == Candidate(1, 0, 0, 2, False)
    want = {
        Candidate(*orders, const)
        for orders in itertools.product(range(6), range(6), range(3), range(3))
        if sum(orders) <= total
        for const in (True, False)
    }
    assert len(seen) == len(set(seen))
    assert set(seen) == want


def some_series():
    rng = np.random.default_rng(3)
    made = []
    for i, n in enumerate((40, 75, 60, 90, 52, 64, 33)):
        e = rng.normal(size=n + 1)
        y = e[1:] + 0.6 * e[:-1] if i % 2 else np.cumsum(e[1:])
        made.append(y + 2.0 * np.sin(np.arange(n) * np.pi / 2) * (i % 3))
    made[3][[10, 40, 41]] = np.nan
    return made


@pytest.mark.parametrize("jobs", [1, 2])
def test_many_series_in_step_walk_as_each_alone(jobs):
    """To the last bit: what others do, the order of the series and the threads change nothing."""
    series = some_series()
    d, D = np.array([1, 0, 1, 0, 0, 1, 0]), np.array([0, 0, 1, 0, 0, 0, 1])
    limits = Limits(2, 2, 1, 1, True)

    def question(rows):
        part = [series[i] for i in rows]
        counts = np.array([(~np.isnan(y)).sum() for y in part])
        return Question(panel_of(part), counts, d[rows], D[rows], 4, "aicc")

    turned = np.arange(7)[::-1].copy()
    together = rankings(question(turned), np.arange(7), [stepwise(limits) for _ in turned], jobs)[::-1]
    for i in range(7):
        alone = rankings(question(np.array([i])), np.array([0]), [stepwise(limits)])[0]
        assert [c.candidate for c in together[i]] == [c.candidate for c in alone]
        for a, b in zip(together[i], alone, strict=True):
            np.testing.assert_array_equal(a.point, b.point)


def test_scores_are_the_likelihoods_at_the_maximum():
    """Where the maximum keeps off the unit circle, that of a full fit; 1e-3 is what a finalist may lack."""
    rng = np.random.default_rng(12)
    e = rng.normal(size=150)
    y = e[4:] + 0.5 * e[3:-1] + 0.4 * e[:-4]
    q = Question(panel_of([y]), np.array([len(y)]), np.array([0]), np.array([0]), 4, "aic")
    scores = {}

    orders = [
        (0, 1, 0, 0),
        (1, 0, 0, 0),
        (0, 2, 0, 0),
        (2, 0, 0, 0),
        (0, 2, 0, 1),
        (1, 2, 1, 0),
        (2, 2, 1, 1),
    ]

    def every():
        for c in (Candidate(*order, const) for order in orders for const in (True, False)):
            scores[c] = yield Trial(c, None, final=True)
        return []

    rankings(q, np.array([0]), [every()])
    compared = 0
    for c, score in scores.items():
        X = np.ones((len(y), int(c.const)))
        fit = fit_series(y, X, Order(c.p, 0, c.q, c.P, 0, c.Q, 4))
        if fit is None:
            continue
        assert score >= fit.criterion("aic") - 1e-6  # no bound can raise a maximum
        if sound(fit):
            assert score <= fit.criterion("aic") + 1e-3
            compared += 1
    assert compared > 4
