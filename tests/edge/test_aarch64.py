"""x86-64 against an emulated aarch64: every kind of graph, and the device runtime as it is shipped."""

from __future__ import annotations

import pytest

from tests.edge.artifacts import all_artifacts, difference
from tests.edge.elsewhere import run_there
from tests.services.edge.aarch64 import device
from tests.services.edge.cache import or_skip
from tests.services.edge.environments import environment

pytestmark = pytest.mark.edge

# Relative to the largest value of the row.
APART = 1e-5


@pytest.fixture(scope="module")
def there():
    return or_skip(device)


@pytest.fixture(scope="module")
def ran(there, tmp_path_factory):
    here = or_skip(lambda: environment("edge-device"))
    return (
        run_there([here], all_artifacts(), tmp_path_factory.mktemp("here")),
        run_there(there.python, all_artifacts(), tmp_path_factory.mktemp("there"), there.env),
    )


def test_the_same_versions_on_two_machines(ran):
    here, there = (found.facts for found in ran)
    assert (here["machine"], there["machine"]) == ("x86_64", "aarch64")
    assert here["onnxruntime"] == there["onnxruntime"]
    assert here["numpy"] == there["numpy"]


def test_both_machines_say_the_same(ran):
    here, there = (found.outputs for found in ran)
    apart = {
        (name, output): difference(there[name][output], value)
        for name, outputs in here.items()
        for output, value in outputs.items()
    }
    assert len(apart) >= 2 * len(all_artifacts())
    assert not {key: off for key, off in apart.items() if off > APART}


def test_the_other_machine_says_what_the_library_says(ran):
    wrong = {a.name: error for a in all_artifacts() if (error := a.error(ran[1].outputs[a.name])) > APART}
    assert not wrong
