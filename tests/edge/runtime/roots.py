"""Three versions of one bundle, and what serves in a root."""

import pytest

from edge.runtime import Bundle
from edge.runtime.device import status
from edge.runtime.keys import read_keys
from tests.edge.runtime.bundles import KEY, Spec, keys_json, newer

ONE = Spec()
TWO, THREE = newer(ONE, 2), newer(ONE, 3)
KEYS = read_keys(keys_json(KEY))


def serving(root, forecasts=True):
    """The version that answers, asked by way of `current`."""
    found = status(root)
    assert found["current"]["ok"], found
    with Bundle.open(root / "current", keys=root / "keys.json") as bundle:
        version = bundle.manifest.bundle_version
        if not forecasts:
            return version
        spec = {1: ONE, 2: TWO, 3: THREE}[version]
        mean = bundle.forecast("a", [spec.const, spec.const]).mean
        assert mean == pytest.approx([spec.const] * 4)
    assert found["current"]["bundle_version"] == version
    return version


def leftovers(root):
    return sorted(
        path.name
        for folder in (root, root / "releases")
        for path in folder.iterdir()
        if (path.name.startswith(".") and path.name != ".lock") or path.name == "switch.json"
    )
