import numpy as np
import pytest

from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.triage import exact_lines, triage
from forecast.types import Status

WAVY = np.sin(np.arange(20.0))


def panel(*series, status=None):
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    ids = np.array([str(i) for i in range(len(series))], dtype=object)
    values = np.concatenate([np.asarray(s, dtype=float) for s in series])
    start = np.zeros(len(series), dtype=np.int64)
    found = np.zeros(0, dtype=np.uint8) if status is None else np.array(status, dtype=np.uint8)
    return Panel(values, indptr, ids, start, Freq("1"), status=found)


@pytest.mark.parametrize(
    ("y", "status"),
    [
        (WAVY, Status.OK),
        (WAVY * 1e290, Status.RESCALED),
        ([np.nan, *WAVY], Status.OK),
        ([], Status.ALL_MISSING),
        ([np.nan] * 4, Status.ALL_MISSING),
        ([1.0], Status.TOO_SHORT),
        ([1.0, np.nan, 2.0], Status.TOO_SHORT),
        ([2.0] * 9, Status.CONSTANT),
        ([2.0, np.nan, 2.0, 2.0], Status.CONSTANT),
        (0.1 * np.arange(30) + 7, Status.CONSTANT),
        (np.arange(5.0), Status.CONSTANT),
        (np.arange(4.0), Status.OK),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.001], Status.OK),
    ],
)
def test_one_look(y, status):
    p = panel(WAVY, y, WAVY)
    found = triage(p)
    assert found.status.tolist() == [Status.OK, status, Status.OK]
    assert (1 in found.messages) == (status != Status.OK)


def test_what_was_found_before_stays():
    p = panel(WAVY, WAVY, status=[Status.IRREGULAR_CLOCK, Status.NOT_FINITE])
    found = triage(p)
    assert found.status.tolist() == [Status.IRREGULAR_CLOCK, Status.NOT_FINITE]
    assert found.hopeless().tolist() == [0, 1]


def test_rows_go_three_ways():
    p = panel(WAVY, [np.nan, *WAVY], [1.0] * 5)
    found = triage(p)
    assert (found.complete(p).tolist(), found.gapped(p).tolist(), found.hopeless().tolist()) == (
        [0],
        [1],
        [2],
    )
    found.reject(np.array([0]), Status.FAILED, "why not")
    assert found.hopeless().tolist() == [0, 2]
    assert found.messages[0] == "why not"


@pytest.mark.parametrize("slope", [1.0, -0.1, 1e-7, 1 / 3])
def test_lines_are_known_up_to_rounding(slope):
    y = 5.0 + slope * np.arange(200)
    bent = y.copy()
    bent[120] += 1e-6 * abs(slope) + 1e-12
    assert exact_lines(*_block(y, bent)).tolist() == [True, False]


def _block(*series):
    p = panel(*series)
    return p.values, p.indptr
