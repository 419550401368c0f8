"""The folder of one job: what is done, and what came of it."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast.errors import InputError, nearest
from pipelines.errors import TrainError
from pipelines.train.atomic import read_json, write_json
from pipelines.train.job import Job


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder ``runs/RUN_ID`` with a marker for every stage that is done.

    A marker is written after everything it speaks of, by one rename. So a stage without a marker is run
    again from its beginning, or from its last finished partition.
    """

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def job(self) -> Job:
        path = self.path / "job.json"
        try:
            return Job.from_json(read_json(path))
        except (LookupError, TypeError, AttributeError, InputError) as error:
            raise TrainError(f"{path} is damaged ({error}); start the job anew") from None

    def facts(self, stage: str) -> dict[str, Any] | None:
        """Return what a finished stage found out; None while it is not done."""
        marker = self.path / "stages" / f"{stage}.json"
        if not marker.exists():
            return None
        found = read_json(marker)
        if not isinstance(found, dict) or "seconds" not in found:
            raise TrainError(f"{marker} is damaged (not what a stage leaves); start the job anew")
        return found

    def finish(self, stage: str, facts: dict[str, Any]) -> None:
        """Mark a stage as done."""
        write_json(self.path / "stages" / f"{stage}.json", facts)

    def file(self, *names: str) -> Path:
        """Path of a file of the job; its folder is made."""
        path = self.path.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, clear of half-written files; the kernel lets go of it however the process ends."""
        with open(self.path / "lock", "ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TrainError(f"run {self.run_id} is at work in another process", retriable=True) from None
            for part in self.path.rglob(".*.part"):  # of a process that was killed
                part.unlink()
            yield


def create(root: Path, job: Job, run_id: str | None = None) -> RunFolder:
    """Make the folder of a new job."""
    run_id = run_id or f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    folder = RunFolder(root / run_id)
    try:
        (folder.path / "stages").mkdir(parents=True)
    except OSError as error:
        raise TrainError(f"{folder.path} cannot be made: {os.strerror(error.errno or 0)}") from error
    write_json(folder.path / "job.json", job.to_json())
    return folder


def reopen(root: Path, run_id: str) -> RunFolder:
    """Open the folder of a job that was started before."""
    folder = RunFolder(root / run_id)
    if not (folder.path / "job.json").is_file():
        known = [path.parent.name for path in root.glob("*/job.json")]
        raise TrainError(f"there is no run {run_id!r} in {root}{nearest(run_id, known) if known else ''}")
    return folder
