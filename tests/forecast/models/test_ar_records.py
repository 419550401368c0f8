import numpy as np
import pytest

from forecast.models.ar_records import ar_records, exog_tail, finish
from forecast.models.draft import empty_draft
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm, Form
from forecast.types import Status


def panel(*series, **exog):
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    ids = np.array([str(i) for i in range(len(series))], dtype=object)
    values = np.concatenate([np.asarray(s, dtype=float) for s in series])
    return Panel(values, indptr, ids, np.zeros(len(series), dtype=np.int64), Freq("1"), exog)


def draft(phi, const=0.0):
    d = empty_draft(len(phi), len(phi[0]))
    d.phi[:] = phi
    d.const[:] = const
    d.sigma2[:], d.loglik[:], d.ok[:] = 1.0, -10.0, True
    d.order[:], d.n_params[:], d.n_used[:] = len(phi[0]), len(phi[0]) + 1, 20
    return d


def build(p, d):
    n = p.n_series
    return ar_records(p, d, np.zeros(n, dtype=np.uint8), np.ones(n), {}, 1)


Y = np.cos(np.arange(20.0)) + 0.1 * np.arange(20.0)


def test_the_state_is_the_end_of_the_data():
    records = build(panel(Y, Y[:9]), draft([[0.5, 0.2]] * 2))
    np.testing.assert_array_equal(records.levels, [Y[[19, 18]], Y[[8, 7]]])
    assert (records.form == Form.CONDITIONAL).all()
    np.testing.assert_allclose(records.parcor[0], [0.5 / 0.8, 0.2])
    assert records.margin[0] == pytest.approx(1 - 0.625)
    assert records.status.tolist() == [Status.OK, Status.OK]


def test_the_gate_moves_only_what_fails():
    records = build(panel(Y, Y), draft([[1.2], [0.5]], const=0.3))
    assert records.status.tolist() == [Status.REPAIRED, Status.OK]
    assert records.phi[0, 0] < 1
    assert (records.phi[1, 0], records.const[1], records.sigma2[1], records.loglik[1]) == (
        0.5,
        0.3,
        1.0,
        -10.0,
    )
    e = Y[1:] - records.phi[0, 0] * Y[:-1] - records.const[0]
    assert e.mean() == pytest.approx(0.0, abs=1e-12)
    assert records.sigma2[0] == pytest.approx(e.var())
    n = len(e)
    assert records.loglik[0] == pytest.approx(-0.5 * n * (np.log(2 * np.pi * e.var()) + 1))


def test_without_a_constant_the_gate_adds_none():
    records = build(panel(Y), draft([[1.2]]))
    assert records.const[0] == 0.0
    e = Y[1:] - records.phi[0, 0] * Y[:-1]
    assert records.sigma2[0] == pytest.approx(np.mean(e**2))


def test_the_tail_of_regressors():
    x, z = np.arange(7.0), -np.arange(7.0)
    p = panel([1.0] * 5, [1.0] * 2, x=x, z=z)
    terms = (ExogTerm("x", 3), ExogTerm("x"), ExogTerm("z", 1), ExogTerm("w", 0))
    got = exog_tail(p, terms)
    np.testing.assert_array_equal(got[0], [[4.0, 3.0, 2.0], [-4.0, 0.0, 0.0]])
    np.testing.assert_array_equal(got[1], [[6.0, 5.0, np.nan], [-6.0, 0.0, 0.0]])
    assert exog_tail(p, ()).shape == (2, 0, 0)


def test_finishing_twice_changes_nothing():
    p = panel(Y, Y[::-1].copy())
    once = build(p, draft([[0.5, 0.2]] * 2))
    twice = finish(once, p)
    for name in ("parcor", "margin", "max_pole", "levels", "ljung_box_p"):
        np.testing.assert_array_equal(getattr(once, name), getattr(twice, name))


def test_messages_of_fit_and_panel_are_joined():
    d = draft([[0.5]])
    d.messages[0] = "second"
    p = panel(Y)
    records = ar_records(p, d, np.array([Status.GAPS], dtype=np.uint8), np.ones(1), {0: "first"}, 1)
    assert records.messages[0] == "first; second"
