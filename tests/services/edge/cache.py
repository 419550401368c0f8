"""Where the environments of the edge tests are kept between runs, and how each is made once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

# Seconds for one command. The slowest fetches 60 MB; more than this is a network that hangs.
COMMAND_TIMEOUT_S = 900


class MissingError(RuntimeError):
    """Something that an environment needs is not on this machine, or cannot be fetched."""


def made_once(name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    """Return the folder `name`, filled by `make` the first time and again whenever `recipe` changes.

    A folder without its stamp was left by a run that was killed: it is thrown away. Processes that want the
    same folder at once wait for the first of them.

    Raises
    ------
    MissingError
        What `make` needs is not there.
    """
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    folder, base = _cache() / f"{name}-{digest}", _cache()
    with open(base / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete.stamp").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "complete.stamp").touch()
    return folder


def command(line: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program and return what it printed.

    Raises
    ------
    MissingError
        It is not there, or fails; says its last words.
    """
    words = [str(word) for word in line]
    if shutil.which(words[0]) is None:
        raise MissingError(f"needs {Path(words[0]).name}, which is not installed")
    try:
        done = subprocess.run(
            words, env={**os.environ, **(env or {})}, cwd=cwd, capture_output=True, text=True, check=False,
            timeout=COMMAND_TIMEOUT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{' '.join(words)} took over {COMMAND_TIMEOUT_S} s") from error
    if done.returncode:
        raise MissingError(f"{' '.join(words)} failed\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout


def or_skip(call: Callable[[], T]) -> T:
    """Return what `call` makes; where a means is missing skip the test, and fail it under CI=true."""
    try:
        return call()
    except MissingError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forecast-platform" / "edge"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
