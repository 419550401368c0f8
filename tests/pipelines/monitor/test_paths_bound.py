"""Open paths that no memory holds are not opened."""

from __future__ import annotations

import numpy as np

from pipelines.monitor import paths as module
from tests.pipelines.monitor.feeds import forecast
from tests.pipelines.monitor.test_watch import read

NOTHING = module.Seen(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def test_a_horizon_that_no_memory_holds_is_passed_over(monkeypatch, caplog):
    monkeypatch.setattr(module, "_MOST_BYTES", 4 * 2 * 4 * 4)  # two series, four steps, one level
    paths = module.Paths(lambda author: None)

    def put(row, step, h):
        found = read(forecast("ab"[row], step, 0.5, "0" * 64, h=h))
        paths.put(found, np.array([row]), np.array([True]))
        paths.feed(NOTHING)

    put(0, 0, 4)
    kept = paths.maturing
    put(1, 1, 5)
    assert paths.maturing is kept
    assert "are not scored" in caplog.text
    put(1, 2, 4)
    assert len(paths.maturing) == 2
