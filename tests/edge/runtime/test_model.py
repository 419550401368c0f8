"""One ONNX file: many series in parts, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edge.fleet import Fleet
from edge.graph.model import forecast_model
from edge.runtime import memory
from edge.runtime.errors import BundleError, RequestError
from edge.runtime.model import ROWS as BY_PROFILE
from edge.runtime.model import Model
from tests.edge.artifacts import ar
from tests.services.edge.graph_runner import run_graph

ROWS = BY_PROFILE["latency"]


@pytest.fixture(scope="module")
def graph():
    return forecast_model(Fleet.of(ar(1, 3, 5)), 4)


@pytest.mark.parametrize("n", [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 7])
def test_parts_are_the_whole(graph, n):
    rng = np.random.default_rng(n)
    feeds = {"index": rng.integers(0, 5, n), "lags": rng.normal(size=(n, 3))}
    found, want = Model(graph, "model.onnx", "latency").run(feeds), run_graph(graph, feeds)
    assert set(found) == set(want) == {"mean", "variance"}
    for name in want:
        assert found[name].shape == (n, 4)
        np.testing.assert_allclose(found[name], want[name], rtol=1e-13, atol=0)


def test_only_the_outputs_that_are_asked_for(graph):
    feeds = {"index": np.zeros(2 * ROWS, np.int64), "lags": np.ones((2 * ROWS, 3))}
    assert list(Model(graph, "model.onnx", "size").run(feeds, ["variance", "lo"])) == ["variance"]


@pytest.mark.parametrize("n_index", [3, 2 * ROWS + 1])
def test_inputs_of_different_lengths_are_refused(graph, n_index):
    feeds = {"index": np.zeros(n_index, np.int64), "lags": np.ones((2 * ROWS, 3))}
    with pytest.raises(RequestError, match=r"model\.onnx cannot run on .*lags"):
        Model(graph, "model.onnx", "latency").run(feeds)


def test_a_refusal_is_raised_and_nothing_else_is_said(graph, capfd):
    with pytest.raises(RequestError, match="out of"):
        Model(graph, "model.onnx", "latency").run({"index": np.array([99]), "lags": np.ones((1, 3))})
    assert capfd.readouterr().err == ""


def test_a_missing_input_is_named(graph):
    with pytest.raises(RequestError, match=r"needs .'index'.*got .'lags'"):
        Model(graph, "model.onnx", "latency").run({"lags": np.ones((1, 3))})


def test_what_is_no_model_is_refused():
    with pytest.raises(BundleError, match=r"step\.onnx cannot be loaded by onnxruntime"):
        Model(b"no model", "step.onnx", "latency")


@pytest.mark.parametrize("library", [OSError, AttributeError])
def test_a_c_library_that_cannot_trim_is_no_fault(library, monkeypatch):
    def absent(_):
        raise library

    monkeypatch.setattr(memory.ctypes, "CDLL", absent)
    memory.trim()
