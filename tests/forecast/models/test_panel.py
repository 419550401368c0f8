import numpy as np
import pytest

from forecast.errors import InputError
from forecast.models.freq import Freq
from forecast.models.panel import Panel


def panel(lengths=(3, 0, 2), **options):
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.array([f"s{i}" for i in range(len(lengths))], dtype=object)
    start = np.arange(len(lengths), dtype=np.int64) * 10
    values = np.arange(float(indptr[-1]))
    return Panel(values, indptr, ids, start, Freq("1"), {"x": -values}, notes={2: "odd"}, **options)


def test_a_series_is_a_view():
    p = panel()
    assert p.n_series == 3
    assert p.lengths.tolist() == [3, 0, 2]
    assert p.series(2).tolist() == [3.0, 4.0]
    assert p.series(2).base is not None
    assert p.end().tolist() == [2, 9, 21]
    assert p.status.tolist() == [0, 0, 0]


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        panel().values[0] = 1.0


def test_take_brings_everything_along():
    p = panel().take(np.array([2, 0]))
    assert p.ids.tolist() == ["s2", "s0"]
    assert p.values.tolist() == [3.0, 4.0, 0.0, 1.0, 2.0]
    assert p.exog["x"].tolist() == [-3.0, -4.0, -0.0, -1.0, -2.0]
    assert p.start.tolist() == [20, 0]
    assert dict(p.notes) == {0: "odd"}


def test_head_cuts_every_series():
    p = panel().head(np.array([2, 5, 1]))
    assert p.lengths.tolist() == [2, 0, 1]
    assert p.values.tolist() == [0.0, 1.0, 3.0]
    assert p.exog["x"].tolist() == [-0.0, -1.0, -3.0]
    assert p.start.tolist() == [0, 10, 20]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"indptr": np.array([0, 2])}, "indptr must run"),
        ({"indptr": np.array([0, 4, 3, 5])}, "not decrease"),
        ({"ids": np.array(["a"], dtype=object)}, "1 ids"),
        ({"exog": {"x": np.zeros(3)}}, "'x' has shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_together(change, words):
    p = panel()
    parts = {"values": p.values, "indptr": p.indptr, "ids": p.ids, "start": p.start, "freq": p.freq} | change
    with pytest.raises(InputError, match=words):
        Panel(**parts)
