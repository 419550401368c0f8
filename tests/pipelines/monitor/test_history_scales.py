"""Scales from the training history of a version."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.models.frames import to_panel
from pipelines.monitor.history_scales import HistoryScales, read_scales
from pipelines.monitor.reference import HISTORY, UNKNOWN, Reference
from pipelines.train.history import write_history
from tests.oracles import metrics


@pytest.fixture
def history(tmp_path):
    rng = np.random.default_rng(0)
    ids, n = ["a/b", "é日本", "constant", "gaps"], 60
    y = rng.normal(size=(4, n)).cumsum(axis=1)
    y[2] = 3.0
    y[3, 10:20] = np.nan
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(ids, n),
            "ds": np.tile(pd.date_range("2024-01-01", periods=n, freq="h"), 4),
            "y": y.ravel(),
        }
    )
    panel, schema = to_panel(frame, freq="h")
    return write_history(panel, schema, tmp_path, 2, 1, "me").folder, dict(zip(ids, y, strict=True))


def test_scales_are_the_formula(history):
    folder, y = history
    found = read_scales(folder, 3)
    for name, values in y.items():
        np.testing.assert_allclose(found[name], metrics.scale(values.tolist(), 3), rtol=1e-12)
    assert np.isnan(found["constant"])


def test_each_series_is_asked_about_once(history):
    folder, y = history
    names, asked = ["gaps", "nobody", "constant", "a/b"], []

    def ids(rows):
        asked.extend(rows.tolist())
        return [names[row] for row in rows.tolist()]

    scales, reference = HistoryScales(), Reference(2, 3)
    scales.fix(reference, str(folder), ids)
    reference.grow(4)
    for _ in range(2):
        scales.fix(reference, str(folder), ids)
    assert asked == [0, 1, 2, 3]
    found, source = reference.scales(np.arange(4))
    assert source.tolist() == [HISTORY, UNKNOWN, UNKNOWN, HISTORY]
    assert found[3] == pytest.approx(metrics.scale(y["a/b"].tolist(), 3))


def test_without_a_history_ticks_say_the_scales(history):
    reference = Reference(1, 3)
    HistoryScales().fix(reference, None, lambda rows: ["a/b"])
    HistoryScales().fix(reference, str(history[0]), lambda rows: ["a/b"])
    assert reference.scales(np.arange(1))[1][0] == UNKNOWN


def test_a_history_that_is_gone_or_damaged_knows_less_and_says_so(history, tmp_path, caplog):
    folder, _ = history
    assert read_scales(tmp_path / "none", 1) == {}
    (folder / "part-00001.parquet").write_bytes(b"x")
    assert set(read_scales(folder, 1)) == {"a/b", "é日本"}
    (folder / "history.json").write_text("{}")
    assert read_scales(folder, 1) == {}
    assert caplog.text.count("are made from ticks") == 3
