"""A champion of the demo as a bundle, installed and asked where there are numpy and onnxruntime only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import PipelineError

if TYPE_CHECKING:
    from pipelines.demo.datasets import Dataset
    from pipelines.demo.run import Room

PACKAGES: Final = ("numpy", "onnxruntime")

# Both wheels are 90 MB: minutes through a slow line; longer and there is no line.
_INSTALL_TIMEOUT_S: Final = 600.0
_RUN_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class OnDevice:
    """What the device said."""

    fleet: str
    archive: str
    bytes: int
    key_id: str
    packages: str
    """Of its environment, with versions."""
    said: tuple[str, ...]
    """Lines of `verify` and `install`."""
    difference: float
    """Largest relative difference of its forecasts from those of the library here."""
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why there is no device."""

    reason: str


def run_device(room: Room, out: Path, dataset: Dataset) -> OnDevice | Skipped:
    """Export the champion of a data set, install the bundle in a new environment, and compare.

    Whatever was in `out` before is removed. Where no environment can be made, as without a network, that is
    told, and no error: the demo has shown the rest already.

    Raises
    ------
    EdgeError, PipelineError
        The export failed, or the device refused the bundle or answered wrongly.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        bundle, expected = _export(room, out, dataset)
        python = _environment(out / "env")
    except _NotHereError as error:
        return Skipped(str(error))
    except ModuleNotFoundError as error:
        return Skipped(f"{error.name} is not installed: pip install 'forecast-platform[edge]'")
    try:
        return _ask(python, out, bundle, expected, dataset.name)
    except _NotHereError as error:
        raise DeviceFailedError(str(error)) from None


class DeviceFailedError(PipelineError):
    """The device refused the bundle, or answered wrongly."""


class _NotHereError(Exception):
    """An environment cannot be made on this machine."""


def _export(room: Room, out: Path, dataset: Dataset) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return the archive, its size and key, and what the library forecasts."""
    from edge.bundle.keys import write_key
    from pipelines.export.bundling import Wanted, export_bundle
    from pipelines.model_names import load_model

    settings = room.settings()
    key, private, _ = write_key(out / "keys")
    wanted = Wanted(f"{dataset.name}@champion", out / dataset.name, dataset.h, key=private)
    done = export_bundle(wanted, settings, None)
    fitted = load_model(wanted.model, settings.store())
    frame = fitted.predict(dataset.h)
    alias, ids = done.exported.model, fitted.schema.id_col
    expected = {str(name): rows[alias].tolist() for name, rows in frame.groupby(ids, sort=False)}
    archive = done.exported.archive or done.exported.path
    return {"archive": archive, "bytes": done.exported.size, "key_id": key.key_id}, expected


def _environment(folder: Path) -> Path:
    """Make an environment with what a device has; return its Python."""
    wanted = [f"{name}=={version(name)}" for name in PACKAGES]
    _run([sys.executable, "-m", "venv", str(folder)], "no environment can be made", _RUN_TIMEOUT_S)
    python = folder / "bin" / "python"
    pip = [
        str(python),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "install",
        "--only-binary=:all:",
    ]
    _run([*pip, "--retries", "1", *wanted], "pip cannot fetch numpy and onnxruntime", _INSTALL_TIMEOUT_S)
    return python


def _ask(
    python: Path, out: Path, bundle: dict[str, Any], expected: dict[str, list[float]], fleet: str
) -> OnDevice:
    app, keys, root = out / fleet / "forecast-edge.pyz", out / "keys" / "keys.json", out / "device"
    steps = (
        ["verify", str(bundle["archive"]), "--keys", str(keys)],
        ["install", str(bundle["archive"]), "--keys", str(keys), "--root", str(root)],
        ["forecast", "--root", str(root)],
    )
    device = [str(python), "-I", str(app)]
    said = [_run([*device, *words], "the device refuses", _RUN_TIMEOUT_S).strip() for words in steps[:2]]
    asked = "".join(json.dumps({"series_id": name, "v": 1}) + "\n" for name in expected)
    answers = _run([*device, *steps[2]], "the device refuses", _RUN_TIMEOUT_S, asked).splitlines()
    listed = _run(
        [str(python), "-I", "-m", "pip", "--disable-pip-version-check", "freeze"], "pip", _RUN_TIMEOUT_S
    )
    kept = [line for line in listed.split() if line.split("==")[0].lower() in PACKAGES]
    return OnDevice(
        fleet, str(bundle["archive"]), bundle["bytes"], bundle["key_id"], ", ".join(kept), tuple(said),
        _difference([json.loads(line) for line in answers], expected),
        tuple(" ".join(["python", str(app), *words]) for words in steps),
    )  # fmt: skip


def _difference(answers: list[dict[str, Any]], expected: dict[str, list[float]]) -> float:
    worst = 0.0
    for answer, (name, mean) in zip(answers, expected.items(), strict=True):
        if answer["series_id"] != name:
            raise DeviceFailedError(f"the device answered for {answer['series_id']!r}, not {name!r}")
        size = max(abs(value) for value in mean) or 1.0
        worst = max(worst, *(abs(a - b) / size for a, b in zip(answer["mean"], mean, strict=True)))
    return worst


def _run(words: list[str], what: str, timeout_s: float, text: str | None = None) -> str:
    """Run a command that sees nothing of this process's packages; return what it prints."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    try:
        done = subprocess.run(  # noqa: S603  # Pythons and modules of ours
            words, input=text, capture_output=True, text=True, timeout=timeout_s, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise _NotHereError(f"{what}: nothing came in {timeout_s:g} s") from None
    except OSError as error:
        raise _NotHereError(f"{what}: {error.strerror or error}") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise _NotHereError(f"{what}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return done.stdout
