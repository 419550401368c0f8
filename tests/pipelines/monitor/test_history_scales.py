"""Scales from the training history of a version."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.models.frames import to_panel
from pipelines.monitor.history_scales import history_scales
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
    found = history_scales(folder, ["gaps", "é日本", "nobody", "constant", "a/b"], 3)
    wanted = [metrics.scale(y[name].tolist(), 3) for name in ("gaps", "é日本", "constant", "a/b")]
    np.testing.assert_allclose(found[[0, 1, 3, 4]], wanted, rtol=1e-12)
    assert np.isnan(found[[2, 3]]).all()


def test_a_history_that_is_gone_or_damaged_knows_nothing_and_says_so(history, tmp_path, caplog):
    folder, _ = history
    assert np.isnan(history_scales(tmp_path / "none", ["a"], 1)).all()
    (folder / "part-00001.parquet").write_bytes(b"x")
    found = history_scales(folder, ["a/b", "gaps"], 1)
    assert np.isfinite(found[0])
    assert np.isnan(found[1])
    (folder / "history.json").write_text("{}")
    assert np.isnan(history_scales(folder, ["a/b"], 1)).all()
    assert caplog.text.count("are made from ticks") == 3
