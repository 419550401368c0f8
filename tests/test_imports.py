"""What an import costs and whether it is quiet; each case in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"numba", "pandas", "statsmodels", "mlflow", "scipy", "pyarrow", "matplotlib"}


def modules_after(code: str) -> set[str]:
    """Top-level names in sys.modules after `code`."""
    probe = f"{code}\nimport sys\nprint('\\n' + ' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_probe_sees_what_is_loaded():
    assert "numba" in modules_after("import forecast.kernels._jit")


def test_import_forecast_is_lazy():
    assert not modules_after("import forecast; dir(forecast)") & (HEAVY | {"numpy"})


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_a_command_line_that_only_talks_loads_nothing_heavy(arguments):
    lines = [
        "import pipelines.cli",
        "try:",
        f"    pipelines.cli.main({arguments!r})",
        "except SystemExit as stop:",
        "    assert not stop.code",
    ]
    loaded = modules_after("\n".join(lines))
    assert "click" in loaded
    assert not loaded & HEAVY


@pytest.mark.slow
def test_every_module_imports_without_a_warning():
    done = subprocess.run(
        [sys.executable, "-W", "error", ".ci/import_all.py"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 50
