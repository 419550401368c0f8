"""The door to numba: a cache that cannot be stale, flags that keep NaN, and no place to keep anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from forecast.kernels import _jit
from forecast.kernels._jit import exact_kernel, kernel, source_digest

ROOT = Path(__file__).parent.parent
INNER = """
from forecast.kernels._jit import kernel

@kernel
def inner(x):
    return x * {factor}.0
"""
OUTER = """
from forecast.kernels._jit import kernel
from forecast.kernels.inner import inner

@kernel
def outer(x):
    return inner(x) + 1.0
"""


@pytest.fixture
def copy(tmp_path):
    """A package with the door, an inner kernel, and an outer one in a file of its own."""
    folder = tmp_path / "forecast" / "kernels"
    folder.mkdir(parents=True)
    (tmp_path / "forecast" / "__init__.py").touch()
    (folder / "__init__.py").touch()
    shutil.copy(Path(_jit.__file__), folder)
    (folder / "inner.py").write_text(INNER.format(factor=2))
    (folder / "outer.py").write_text(OUTER)
    return tmp_path


def run(copy: Path, code: str, **env: str) -> str:
    """What `code` prints in an interpreter that sees the copy, with its cache beside it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        env=clean | {"XDG_CACHE_HOME": str(copy / "cache"), "PYTHONPATH": str(copy)} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


CALL = """
from forecast.kernels.outer import outer
print(outer(10.0), sum(outer.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_an_edit_of_a_callee_in_another_file_is_seen(copy):
    assert run(copy, CALL) == "21.0 0"
    assert run(copy, CALL) == "21.0 1", "the second process must find the machine code of the first"
    (copy / "forecast" / "kernels" / "inner.py").write_text(INNER.format(factor=100))
    assert run(copy, CALL) == "1001.0 0"


@pytest.mark.slow
def test_without_the_digest_the_old_machine_code_is_served(copy):
    """The trap itself; when numba mends it, this fails, and the digest may go."""
    fixed = "import numba\nimport forecast.kernels._jit as door\nnumba.config.CACHE_DIR = 'fixed'\n" + CALL
    assert run(copy, fixed) == "21.0 0"
    (copy / "forecast" / "kernels" / "inner.py").write_text(INNER.format(factor=100))
    assert run(copy, fixed) == "21.0 1"


WHERE = "import forecast.kernels._jit as door; print(door.cache_dir())"


@pytest.mark.slow
def test_bounds_checked_code_has_a_folder_of_its_own(copy):
    assert run(copy, WHERE) != run(copy, WHERE, NUMBA_BOUNDSCHECK="1")


@pytest.mark.slow
def test_a_cache_moved_by_the_environment_keeps_the_digest(copy):
    moved = Path(run(copy, WHERE, NUMBA_CACHE_DIR=str(copy / "moved")))
    assert moved.parent == copy / "moved"
    assert moved.name == Path(run(copy, WHERE)).name


@pytest.mark.slow
def test_where_nothing_can_be_kept_kernels_still_work_and_write_nothing(copy):
    (copy / "file").touch()
    state = "print(__import__('forecast.kernels._jit').kernels._jit.CACHED)"
    assert run(copy, CALL + state, XDG_CACHE_HOME=str(copy / "file")) == "21.0 0\nFalse"
    assert not list(copy.rglob("*.nbi"))


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Two files that stand for all kernels."""
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    files[0].write_text("one\ntwo\n")
    files[1].write_text("three\n")
    monkeypatch.setattr(_jit, "kernel_sources", lambda: iter(sorted(tmp_path.glob("*.py"))))
    return files


@pytest.mark.parametrize("victim", [0, 1])
def test_a_change_of_any_file_changes_the_digest(sources, victim):
    before = source_digest()
    sources[victim].write_text(sources[victim].read_text() + "# one byte more matters\n")
    assert source_digest() != before


def test_code_moved_across_a_file_border_changes_the_digest(sources):
    before = source_digest()
    sources[0].write_text("one\n")
    sources[1].write_text("two\nthree\n")
    assert source_digest() != before


def test_a_new_file_changes_the_digest_and_its_removal_brings_it_back(sources):
    before = source_digest()
    new = sources[0].with_name("c.py")
    new.touch()
    assert source_digest() != before
    new.unlink()
    assert source_digest() == before


def test_the_digest_covers_every_kernels_package_there_is():
    packages = {p.name for p in ROOT.iterdir() if (p / "__init__.py").is_file()}
    on_disk = {p for package in packages for p in (ROOT / package).glob("kernels/**/*.py")}
    assert on_disk
    assert {p.resolve() for p in _jit.kernel_sources()} == on_disk


def test_the_digest_costs_little():
    """It is paid at every import; a few ms here, and 30 ms are 2 % of the 1.5 s of a cold start."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        source_digest()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.03


@pytest.mark.parametrize("door", [kernel, exact_kernel])
def test_isnan_survives_the_flags(door):
    @door
    def gaps(y):
        count = 0
        for value in y:
            count += np.isnan(value)
        return count

    assert gaps(np.array([1.0, np.nan, np.inf, np.nan])) == 2


def test_no_flag_that_assumes_finite_values():
    assert not _jit.FAST_SUMS & {"nnan", "ninf", "fast"}


def test_division_by_zero_is_a_value_and_no_exception():
    @kernel
    def ratio(a, b):
        return a / b

    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("plain Python divides as Python does")
    assert ratio(1.0, 0.0) == np.inf


BITS = """
import hashlib
import numpy as np
from forecast.kernels.ar_ols import fit_ols
from forecast.kernels.burg import fit_burg
rng = np.random.default_rng(0)
y, indptr = rng.normal(size=(20, 120)).cumsum(axis=1).ravel(), np.arange(0, 2401, 120)
digest = hashlib.sha256()
for fit in (fit_ols, fit_burg):
    phi, ic = np.empty((20, 12)), np.empty((20, 13))
    mean, sigma2, loglik = np.empty(20), np.empty(20), np.empty(20)
    order, ok = np.empty(20, dtype=np.int64), np.empty(20, dtype=np.uint8)
    fit(y, indptr, 0, 20, 12, 1, 1, phi, mean, sigma2, order, ic, loglik, ok)
    for array in (phi, mean, sigma2, loglik, order):
        digest.update(array.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_a_process_that_compiles_and_one_that_loads_agree_to_the_last_bit(tmp_path):
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    env.pop("NUMBA_CACHE_DIR", None)
    seen = [
        subprocess.run(
            [sys.executable, "-c", BITS], env=env, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert any(tmp_path.rglob("*.nbc"))  # the second one had something to load
    assert seen[0] == seen[1] != ""
