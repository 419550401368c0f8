"""The environments themselves, with a graph made by hand: what runs there is what the tests believe."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.edge.elsewhere import run_there
from tests.services.edge.aarch64 import device
from tests.services.edge.cache import MissingError, command, made_once, or_skip
from tests.services.edge.environments import PYTHONS, REQUIREMENTS, environment
from tests.services.edge.graph_runner import run_graph

ALL = tuple(PYTHONS)


@dataclass(frozen=True)
class Sum:
    """state_out = state + y, twice = 2 state_out, over three ticks."""

    name: str = "sum"

    def graph(self) -> bytes:
        def value(name):
            return helper.make_tensor_value_info(name, TensorProto.DOUBLE, [2])

        nodes = [
            helper.make_node("Add", ["state", "y"], ["state_out"]),
            helper.make_node("Add", ["state_out"] * 2, ["twice"]),
        ]
        graph = helper.make_graph(
            nodes, "sum", [value("y"), value("state")], [value("state_out"), value("twice")]
        )
        return helper.make_model(
            graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)]
        ).SerializeToString()

    def inputs(self):
        return {"ticks.y": np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]), "state": np.array([100.0, 0.0])}

    def write(self, folder: Path) -> None:
        (folder / "sum.onnx").write_bytes(self.graph())
        np.savez(folder / "sum.in.npz", **self.inputs())


def check(outputs):
    np.testing.assert_array_equal(outputs["twice"], [[202.0, 20.0], [206.0, 60.0], [212.0, 120.0]])


def test_ticks_are_carried_from_one_to_the_next():
    check(run_graph(Sum().graph(), Sum().inputs()))


def pins(name):
    lines = (REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


@pytest.mark.edge
@pytest.mark.parametrize("name", ALL)
def test_an_environment_has_the_versions_of_its_file_and_nothing_else(name, tmp_path):
    python = or_skip(lambda: environment(name))
    ran = run_there([python], [Sum()], tmp_path)
    check(ran.outputs["sum"])
    assert ran.facts["onnxruntime"] == pins(name)["onnxruntime"]
    assert ran.facts["numpy"] == pins(name)["numpy"]
    listed = command(
        [python, "-c", "from importlib.metadata import distributions as d; print(*{x.name for x in d()})"]
    )
    assert set(listed.split()) <= set(pins(name))


@pytest.mark.edge
def test_aarch64_is_aarch64(tmp_path):
    there = or_skip(device)
    ran = run_there(there.python, [Sum()], tmp_path, there.env)
    check(ran.outputs["sum"])
    assert ran.facts == {
        "onnxruntime": pins("edge-device")["onnxruntime"],
        "numpy": pins("edge-device")["numpy"],
        "machine": "aarch64",
    }


def test_a_device_has_the_versions_that_are_tested_here():
    locked = (REQUIREMENTS / "dev.txt").read_text()
    assert all(f"\n{package}=={version} " in locked for package, version in pins("edge-device").items())


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "forecast-platform" / "edge"


def test_an_environment_is_made_once_and_again_after_a_change(kept):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "content").touch()

    first = made_once("x", "recipe", make)
    assert made_once("x", "recipe", make) == first
    assert made == [first]
    second = made_once("x", "another", make)
    assert second != first
    assert (second / "content").exists()


def test_half_an_environment_is_thrown_away(kept):
    def fail(folder):
        (folder / "half").touch()
        raise MissingError("no network")

    with pytest.raises(MissingError):
        made_once("x", "recipe", fail)
    folder = made_once("x", "recipe", lambda folder: None)
    assert not (folder / "half").exists()


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_what_is_missing_skips_a_test_and_fails_it_in_ci(ci, outcome, monkeypatch):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="needs no-such-program, which is not installed"):
        or_skip(lambda: command(["no-such-program"]))


def test_a_failed_command_says_what_it_said():
    with pytest.raises(MissingError, match="that was it"):
        command([sys.executable, "-c", "import sys; sys.exit('that was it')"])
