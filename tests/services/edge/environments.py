"""Python environments with NumPy and one ONNX Runtime, made by uv from `requirements/edge-*.txt`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.services.edge.cache import MissingError, command, made_once

REQUIREMENTS = Path(__file__).parents[3] / "requirements"
# Name of the file, and the Pythons for which the wheels were built; the first that is there is taken.
PYTHONS = {
    "edge-ort-1.19": ("3.11", "3.12"),
    "edge-ort-1.20": ("3.11", "3.12", "3.13"),
    "edge-device": ("3.11", "3.12", "3.13", "3.14"),
}


def environment(name: str) -> Path:
    """Return the Python of the environment of `requirements/NAME.txt`, with nothing else installed in it.

    Raises
    ------
    MissingError
        No Python that fits, or no network the first time.
    """
    pins = REQUIREMENTS / f"{name}.txt"
    base = _base(PYTHONS[name])

    def make(folder: Path) -> None:
        place = folder / "env"
        command([uv(), "venv", "--quiet", "--python", base, place])
        python = place / "bin" / "python"
        command([uv(), "pip", "install", "--quiet", "--no-deps", "--python", python, "-r", pins])
        command([uv(), "pip", "check", "--quiet", "--python", python])

    return made_once(name, f"{base}\n{pins.read_text()}", make) / "env" / "bin" / "python"


def uv() -> str:
    """Return the uv beside this Python, or the one in PATH."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv") or "uv"


def _base(versions: tuple[str, ...]) -> str:
    """Return this Python where its version will do, else the first that uv finds."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" in versions:
        return sys._base_executable  # that of no virtual environment, which may be gone tomorrow
    for version in versions:
        try:
            return command([uv(), "python", "find", version]).strip()
        except MissingError:
            continue
    raise MissingError(f"needs a Python {' or '.join(versions)}; uv finds none")
