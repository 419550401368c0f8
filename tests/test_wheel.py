"""What the wheel carries. `.ci/wheel-smoke` installs and uses it."""

from __future__ import annotations

import subprocess
import sys
from email.parser import Parser
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PACKAGES = {"forecast", "pipelines", "edge", "decoding", "dashboards"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with ZipFile(path) as archive:
        yield archive


def read(wheel: ZipFile, name: str) -> str:
    (path,) = [n for n in wheel.namelist() if n.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def test_it_holds_the_packages_and_nothing_beside_them(wheel):
    tops = {PurePosixPath(name).parts[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_every_module_and_the_typing_marker_ship(wheel, package):
    sources = {p.relative_to(ROOT).as_posix() for p in (ROOT / package).rglob("*.py")}
    assert sources | {f"{package}/py.typed"} <= set(wheel.namelist())


def test_no_leftover_ships(wheel):
    suffixes = {PurePosixPath(name).suffix for name in wheel.namelist()}
    assert not suffixes & {".pyc", ".nbi", ".nbc", ".so"}


def test_metadata(wheel):
    metadata = Parser().parsestr(read(wheel, "METADATA"))
    assert metadata["Name"] == "forecast-platform"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == "<3.15,>=3.11"
    extras = "plot stream confluent formats edge track dash lm lm-train postgres schedule ray dask dev"
    assert set(metadata.get_all("Provides-Extra")) == set(extras.split())
    assert read(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()


def test_it_is_a_pure_wheel_with_one_command(wheel):
    assert "Root-Is-Purelib: true" in read(wheel, "WHEEL")
    assert read(wheel, "entry_points.txt").split("\n")[:2] == [
        "[console_scripts]",
        "forecast = pipelines.cli:main",
    ]
