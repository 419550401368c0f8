"""The jars of Apache Kafka, by Maven, once: its class path is kept until the pom changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")


def missing(*more: str) -> str | None:
    """Say which programs are needed, with these, and not there; None if all are."""
    absent = [name for name in ("java", "mvn", *more) if shutil.which(name) is None]
    return f"needs {' and '.join(absent)} (Java 17 and Maven)" if absent else None


def class_path() -> str:
    """Return Kafka's class path; its jars are fetched the first time.

    Raises
    ------
    RuntimeError
        Maven or the network is not there; says what Maven said.
    """
    kept = _cache() / f"classpath-{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}.txt"
    if kept.exists() and all(Path(jar).exists() for jar in kept.read_text().split(os.pathsep)):
        return kept.read_text()
    if reason := missing():
        raise RuntimeError(f"no Kafka: {reason}")
    fresh = kept.with_suffix(f".{os.getpid()}")
    line = ["mvn", "--quiet", "--batch-mode", "--file", str(POM), "dependency:build-classpath"]
    done = subprocess.run(
        [*line, f"-Dmdep.outputFile={fresh}"], capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise RuntimeError(f"no Kafka: {' '.join(line)} failed\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    fresh.replace(kept)
    return kept.read_text()


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forecast-platform" / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
