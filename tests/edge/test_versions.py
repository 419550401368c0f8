"""Every kind of graph on ONNX Runtime 1.19, 1.20 and the newest: it loads, and says what the library says."""

from __future__ import annotations

import pytest

from tests.edge.artifacts import all_artifacts, difference
from tests.edge.elsewhere import run_there
from tests.services.edge.cache import or_skip
from tests.services.edge.environments import PYTHONS, environment

pytestmark = pytest.mark.edge

# Between two versions. Weights in float32 are summed in another order by other kernels; float64 likewise.
SAME_CLOSED, SAME_STEP = 1e-6, 1e-12


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What every version gave, all graphs in one process of each."""
    pythons = {name: or_skip(lambda name=name: environment(name)) for name in PYTHONS}
    return {
        name: run_there([python], all_artifacts(), tmp_path_factory.mktemp(name))
        for name, python in pythons.items()
    }


def test_the_versions_are_three(ran):
    versions = [found.facts["onnxruntime"] for found in ran.values()]
    assert [version.rsplit(".", 1)[0] for version in versions[:2]] == ["1.19", "1.20"]
    assert versions[2] not in versions[:2]


@pytest.mark.parametrize("name", PYTHONS)
def test_a_version_says_what_the_library_says(ran, name):
    errors = {artifact.name: artifact.error(ran[name].outputs[artifact.name]) for artifact in all_artifacts()}
    wrong = {key: error for key, error in errors.items() if error > tolerances()[key]}
    assert not wrong


def tolerances():
    return {artifact.name: artifact.tolerance for artifact in all_artifacts()}


@pytest.mark.parametrize("name", list(PYTHONS)[:2])
def test_two_versions_agree(ran, name):
    newest = ran["edge-device"].outputs
    apart = {
        (artifact.name, output): difference(ran[name].outputs[artifact.name][output], value)
        for artifact in all_artifacts()
        for output, value in newest[artifact.name].items()
    }
    most = {key: SAME_STEP if tolerances()[key[0]] < SAME_CLOSED else SAME_CLOSED for key in apart}
    assert not {key: off for key, off in apart.items() if off > most[key]}
