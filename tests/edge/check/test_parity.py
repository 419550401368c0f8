import numpy as np
import pytest

from edge.check import parity, relative_error
from edge.errors import GateError
from tests.edge.check.models import ar_file

PHI = np.array([[0.5, 0.2], [0.1, -0.3]])
INPUTS = {"index": np.array([1, 0]), "lags": np.array([[1.0, 2.0], [3.0, 4.0]])}
# (0.1 - 0.6) * 2 and (1.5 + 0.8) * 1
MEAN = np.array([[-1.0], [2.3]])


def test_a_right_answer_has_no_error_and_a_wrong_one_has_its_own():
    data = ar_file(PHI).finish()
    assert parity(data, INPUTS, {"mean": MEAN})["mean"] < 1e-15
    assert parity(data, {**INPUTS, "more": np.zeros(1)}, {"mean": MEAN * [[1.0], [1.25]]})[
        "mean"
    ] == pytest.approx(0.2)


def test_what_is_missing_is_named():
    data = ar_file(PHI).finish()
    with pytest.raises(GateError, match="lags"):
        parity(data, {"index": INPUTS["index"]}, {"mean": MEAN})
    with pytest.raises(GateError, match="variance"):
        parity(data, INPUTS, {"variance": MEAN})
    with pytest.raises(GateError, match="cannot run"):
        parity(data, {**INPUTS, "index": np.array([7, 0])}, {"mean": MEAN})
    with pytest.raises(GateError, match="cannot load"):
        parity(b"no model", INPUTS, {"mean": MEAN})


@pytest.mark.parametrize(
    ("got", "want", "error"),
    [
        ([[1.0, 2.0]], [[1.0, 4.0]], 0.5),
        ([[1.0], [30.0]], [[2.0], [30.0]], 0.5),
        ([[0.0, 0.0]], [[0.0, 0.0]], 0.0),
        ([[1e-300]], [[0.0]], pytest.approx(1e-300 / np.finfo(float).tiny)),
        ([[np.nan, 1.0]], [[np.nan, 1.0]], 0.0),
        ([[np.nan, 1.0]], [[1.0, 1.0]], np.inf),
        ([[1.0, 1.0]], [[np.nan, 1.0]], np.inf),
        ([[np.inf, 2.0]], [[np.inf, 1.0]], 1.0),
        ([[-np.inf]], [[np.inf]], np.inf),
        ([[np.inf]], [[1.0]], np.inf),
        ([[1.0]], [[1.0, 2.0]], np.inf),
        ([], [], 0.0),
    ],
)
def test_errors_are_relative_to_the_row(got, want, error):
    assert relative_error(np.array(got), np.array(want)) == error
