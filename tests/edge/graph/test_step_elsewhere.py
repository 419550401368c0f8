"""The same Kalman steps on older ONNX Runtimes and on another processor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.edge.elsewhere import run_there
from tests.edge.graph.step_models import MODELS, mixed, one, values
from tests.edge.graph.step_worlds import Device, regressors, with_tail
from tests.services.edge.aarch64 import device
from tests.services.edge.cache import or_skip
from tests.services.edge.environments import PYTHONS, environment
from tests.services.edge.graph_runner import run_graph

HORIZON, TICKS = 12, 60


@dataclass(frozen=True)
class Steps:
    """Ticks of one file, as `graph_runner` reads them."""

    name: str

    def inputs(self):
        records = mixed(3, 9) if self.name == "fleet" else one(self.name)
        x = regressors(records, int(records.nobs.max()) + TICKS + HORIZON + 2, 1)
        records = with_tail(records, x)
        file, windows, times = Device(records, HORIZON), [], []
        for k in range(TICKS):
            file.t = records.nobs.astype(np.int64) + k
            times.append(file.t)
            windows.append(file.window(x) if "x" in file.needs else None)
        feed = {"ticks.y": values(records, TICKS, 5), "state": file.state, "cov": file.cov}
        if "index" in file.needs:
            feed["index"] = np.arange(len(file.state))
        if "t" in file.needs:
            feed["ticks.t"] = np.stack(times)
        if "x" in file.needs:
            feed["ticks.x"] = np.stack(windows)
        return file.bytes, feed

    def write(self, folder: Path) -> None:
        graph, inputs = self.inputs()
        (folder / f"{self.name}.onnx").write_bytes(graph)
        np.savez(folder / f"{self.name}.in.npz", **inputs)


ARTIFACTS = [Steps(name) for name in [*MODELS, "fleet"]]


def assert_same(outputs):
    for steps in ARTIFACTS:
        here = run_graph(*steps.inputs())
        for name, want in here.items():
            got = outputs[steps.name][name]
            size = np.nanmax(np.abs(want), initial=1e-300)
            np.testing.assert_allclose(
                got, want, rtol=1e-10, atol=1e-12 * size, err_msg=f"{steps.name}: {name}"
            )


@pytest.mark.edge
@pytest.mark.parametrize("name", PYTHONS)
def test_an_older_runtime_gives_the_same(name, tmp_path):
    python = or_skip(lambda: environment(name))
    assert_same(run_there([python], ARTIFACTS, tmp_path).outputs)


@pytest.mark.edge
def test_another_processor_gives_the_same(tmp_path):
    there = or_skip(device)
    assert_same(run_there(there.python, ARTIFACTS, tmp_path, there.env).outputs)
