import pytest

from tests.edge.runtime.bundles import members, write_archive
from tests.edge.runtime.roots import ONE, THREE, TWO


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Archives by version."""
    folder = tmp_path_factory.mktemp("bundles")
    return {s.version: write_archive(folder / f"{s.version}.edge.zip", members(s)) for s in (ONE, TWO, THREE)}
