import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.check import Stability, decoded, stability
from edge.check.poles import largest_pole, margin
from edge.errors import GateError
from tests.edge.check.models import DOUBLE, INT64, Draft, ar_file
from tests.oracles import edge_quantize as oracle
from tests.oracles import roots as roots_oracle

PHI = np.array([[0.5, 0.2], [0.1, -0.3], [1.2, -0.1], [0.7, 0.3]])


@pytest.mark.parametrize("gathered", [True, False])
def test_poles_are_those_of_the_stored_series_in_every_form(gathered):
    found = stability(ar_file(PHI, gathered=gathered).finish())
    np.testing.assert_allclose(found.phi, PHI, rtol=1e-15)
    np.testing.assert_allclose(found.max_pole, [oracle.largest_pole(row) for row in PHI], rtol=1e-12)
    np.testing.assert_allclose(found.margin, [roots_oracle.margin(row) for row in PHI], atol=1e-12)
    assert found.stable.tolist() == [True, True, False, False]
    assert found.seasonal_phi.shape == (4, 0)


def test_both_opinions_are_needed():
    none = np.zeros((3, 0))
    found = Stability(none, none, margin=np.array([0.1, -1e-9, 0.1]), max_pole=np.array([0.9, 0.9, 1.0]))
    assert found.stable.tolist() == [True, False, False]


def test_seasonal_factors_are_judged_as_well():
    found = stability(ar_file(PHI[:2], seasonal=np.array([[0.81], [1.01]])).finish())
    assert found.stable.tolist() == [True, False]
    np.testing.assert_allclose(found.margin, [0.19, -0.01], atol=1e-12)
    assert found.max_pole[1] == pytest.approx(1.01)
    rooted = stability(ar_file(PHI[:1], seasonal=np.array([[0.81]])).finish(), np.array([2]))
    assert rooted.max_pole[0] == pytest.approx(0.9)


def test_many_series_are_read_in_parts(monkeypatch):
    monkeypatch.setattr(decoded, "_CHUNK", 3)
    phi = np.random.default_rng(1).uniform(-0.4, 0.4, (11, 2))
    for gathered in (True, False):
        np.testing.assert_allclose(stability(ar_file(phi, gathered=gathered).finish()).phi, phi, rtol=1e-15)


def test_a_stored_polynomial_and_one_shared_by_all_are_read():
    draft = Draft()
    lags = draft.take("lags", DOUBLE, ["B", 2])
    draft.keep("phi", PHI[:1])
    draft.do("Mul", ["phi", lags], "mean")
    draft.give("mean", ["B", 2])
    np.testing.assert_array_equal(stability(draft.finish()).phi, PHI[:1])


def test_no_polynomial_one_of_data_and_unclear_tables_are_refused():
    draft = ar_file(PHI)
    for node in draft.nodes:
        for ends in (node.input, node.output):
            for i, name in enumerate(ends):
                ends[i] = "other" if name == "phi" else name
    with pytest.raises(GateError, match="no tensor 'phi'"):
        stability(draft.finish())
    draft = Draft()
    lags = draft.take("lags", DOUBLE, ["B", 2])
    draft.do("Mul", [lags, lags], "phi")
    draft.do("Identity", ["phi"], "mean")
    draft.give("mean", ["B", 2])
    with pytest.raises(GateError, match=r"depends on the inputs \['lags'\]"):
        stability(draft.finish())
    draft = ar_file(PHI)
    other = ar_file(PHI)
    other.tensors = [t for t in other.tensors if t.name != "scale"]
    other.keep("scale", np.ones(9))
    with pytest.raises(GateError, match="unclear"):
        stability(other.finish())


def test_a_polynomial_in_float32_is_refused():
    draft = Draft()
    index = draft.take("index", INT64, ["B"])
    draft.keep("table", PHI)
    draft.do("Gather", ["table", index], "rows", axis=0)
    draft.do("Cast", ["rows"], "phi", to=1)
    draft.do("Cast", ["phi"], "mean", to=DOUBLE)
    draft.give("mean", ["B", 2])
    with pytest.raises(GateError, match="phi"):
        stability(draft.finish())


@settings(deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=6))
def test_margin_is_exact_and_agrees_with_the_poles(phi):
    phi = np.array([phi])
    want, pole = roots_oracle.margin(phi[0]), largest_pole(phi)[0]
    assert pole == pytest.approx(oracle.largest_pole(phi[0]), abs=1e-3)
    if abs(want) > 1e-6:
        assert (margin(phi)[0] > 0) == (want > 0)
    if abs(pole - 1) > 1e-3:
        assert (pole < 1) == (want > 0)


def test_what_is_not_finite_is_not_stable_and_no_lags_are():
    odd = np.array([[0.5, np.nan], [np.inf, 0.1], [0.5, 0.1]])
    assert np.isnan(margin(odd)).tolist() == [True, True, False]
    assert np.isnan(largest_pole(odd)).tolist() == [True, True, False]
    assert margin(np.zeros((2, 0))).tolist() == [1, 1]
    assert largest_pole(np.zeros((2, 0))).tolist() == [0, 0]
    draft = ar_file(odd)
    assert stability(draft.finish()).stable.tolist() == [False, False, True]


def test_the_checker_shares_no_arithmetic_with_the_exporter():
    program = """if True:
        import sys, edge.check
        allowed = ("edge.check", "edge.errors", "forecast.errors")
        mine = [m for m in sys.modules if m.startswith(("edge.", "forecast.", "numba"))]
        assert not [m for m in mine if not m.startswith(allowed)], mine
    """
    subprocess.run([sys.executable, "-c", program], check=True)
