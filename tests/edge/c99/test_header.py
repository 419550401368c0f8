import re
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.c99 import emit, example
from edge.c99.literals import comment, real
from edge.fleet import Fleet
from forecast.errors import InputError
from forecast.models.records import ExogTerm
from tests.edge.c99.compiler import STRICT, build, compiler, run
from tests.strategies import make_records


@pytest.fixture
def fleet():
    return Fleet.of(make_records(3, phi=[0.1, 0.25, -1 / 3], const=2.0, levels=[3.0, 2.0, 1.0]))


@given(x=st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_their_text(x):
    text = real(x)
    back = float.fromhex(text) if "x" in text else float(text)
    assert back == x
    assert re.fullmatch(r"-?(0x[01]\.[0-9a-f]+p[+-][0-9]+|[0-9]+\.[0-9]+)", text)


def test_infinity_is_refused():
    with pytest.raises(InputError, match="infinite"):
        real(np.inf)


@given(text=st.text())
def test_nothing_in_a_comment_can_end_it(text):
    safe = comment(text)
    assert "*/" not in safe + "*/"[:1]
    assert not set(safe) & set("*/\\?\n\r")
    assert safe.isascii()


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "é", "a;", "x" * 33, "a\n", None, 3])
def test_names_that_are_no_identifiers_are_refused(fleet, name):
    with pytest.raises(InputError, match="name must be a C identifier"):
        emit(fleet, 0, 3, name)
    with pytest.raises(InputError, match="name must be a C identifier"):
        example(fleet, 0, 3, name)


@pytest.mark.parametrize("rows", [-1, 3, [], [0, 3], 0.5, [True], [[0]], "0"])
def test_rows_outside_of_the_fleet_are_refused(fleet, rows):
    with pytest.raises(InputError, match=r"rows must be positions in 0\.\.2"):
        emit(fleet, rows, 3)


@pytest.mark.parametrize("horizon", [0, -1, 1001, 2.0, True, None])
def test_horizons_that_make_no_sense_are_refused(fleet, horizon):
    with pytest.raises(InputError, match="horizon must be a whole number"):
        emit(fleet, 0, horizon)


@pytest.mark.parametrize("phi", [np.zeros((2, 3)), np.zeros((3, 2)), np.full((3, 3), np.nan), np.zeros(3)])
def test_coefficients_of_another_shape_are_refused(fleet, phi):
    with pytest.raises(InputError, match="coefficients"):
        emit(fleet, 0, 3, phi=phi)


def test_seasons_that_no_table_can_hold_are_refused():
    term = ExogTerm("fourier(365.25,sin,1)")
    one = Fleet.of(make_records(1, exog=(term,), beta=[1.0], levels=[1.0], exog_tail=np.zeros((1, 0, 0))))
    with pytest.raises(InputError, match="no whole number of steps"):
        emit(one, 0, 3)
    terms = (ExogTerm("fourier(168,sin,1)"), ExogTerm("fourier(365,sin,1)"))
    two = Fleet.of(make_records(1, exog=terms, beta=[1.0, 1.0], levels=[1.0], exog_tail=np.zeros((1, 0, 0))))
    with pytest.raises(InputError, match="repeat together every 61320 steps"):
        emit(two, 0, 3)


def test_a_header_name_that_leaves_the_include_line_is_refused(fleet):
    with pytest.raises(InputError, match="plain file name"):
        example(fleet, 0, 3, header='a"\n#include "b')


def test_equal_models_give_equal_text(fleet):
    assert emit(fleet, [0, 2], 5) == emit(fleet, [0, 2], 5)
    assert emit(fleet, 0, 5).isascii()


def test_coefficients_stand_in_the_text_to_the_last_bit(fleet):
    text = emit(fleet, 1, 2)
    body = re.search(r"model_a\[1\]\[3\] = \{\s*\{([^}]*)\}", text).group(1)
    found = [float.fromhex(x) if "x" in x else float(x) for x in body.replace("\n", "").split(",")]
    np.testing.assert_array_equal(found, fleet.a[1])


@pytest.mark.slow
def test_hostile_ids_stay_in_their_comment(tmp_path):
    ids = np.array(["*/ #error a /*", "b\\", "c??/", 'd"\n#error', "e\u202e\x00", "$n ${n}"], dtype=object)
    fleet = Fleet.of(make_records(6, ids=ids, phi=[0.5], levels=[2.0]))
    program = build(tmp_path, emit(fleet, range(6), 2, "m"), example(fleet, range(6), 2, "m"))
    assert run(program, "forecast", [[5, 2.0]])[0, 0] == 1.0


@pytest.mark.slow
def test_two_headers_live_in_one_program(tmp_path, fleet):
    (tmp_path / "a.h").write_text(emit(fleet, 0, 2, "first"))
    (tmp_path / "b.h").write_text(emit(fleet, [1, 2], 2, "Second_2"))
    (tmp_path / "main.c").write_text(
        '#include "a.h"\n#include "b.h"\n#include "a.h"\n'
        "int main(void)\n{\n    first_real lags[FIRST_LAGS] = {1, 1, 1}, mean[2];\n"
        "    return first_forecast(lags, mean, NULL) + Second_2_forecast(1, lags, mean, NULL);\n}\n"
    )
    command = [compiler(), *STRICT, "-O0", str(tmp_path / "main.c"), "-o", str(tmp_path / "main")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([str(tmp_path / "main")], check=False).returncode == 0


@pytest.mark.slow
def test_a_model_without_logarithm_needs_no_mathematical_library(tmp_path, fleet):
    text = emit(fleet, 0, 2)
    assert "math.h" not in text
    assert "malloc" not in text
    (tmp_path / "model.h").write_text(text)
    (tmp_path / "main.c").write_text(example(fleet, 0, 2))
    command = [compiler(), *STRICT, "-Os", str(tmp_path / "main.c"), "-o", str(tmp_path / "main")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
