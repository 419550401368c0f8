"""A job in a process of its own, which dies at a stage boundary: python child.py RUN_ID BOUNDARY."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pipelines.settings import load_settings
from pipelines.train import atomic, fitting, judging, run_folder
from pipelines.train.run import run
from tests.pipelines.train.fakes import FakeMlflow, FakeStore


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(boundary: str) -> None:
    """Kill this process before or after a marker, or between two partitions."""
    when, _, name = boundary.partition(":")
    finish = run_folder.RunFolder.finish

    def finishing(folder, stage, facts):
        if stage == name and when == "before":
            die()
        finish(folder, stage, facts)
        if stage == name and when == "after":
            die()

    run_folder.RunFolder.finish = finishing
    if when == "within":
        module, function = {"fit": (fitting, "_fit_part"), "backtest": (judging, "_score_part")}[name]
        part = getattr(module, function)

        def second(work, k, *rest):
            if k == 1:
                die()
            part(work, k, *rest)

        setattr(module, function, second)
    if when == "torn":  # a file that is half written when the power goes
        replace = os.replace

        def torn(source, target):
            if Path(target).name == name:
                die()
            replace(source, target)

        atomic.os.replace = torn


if __name__ == "__main__":
    die_at(sys.argv[2])
    settings = load_settings(environ={}, jobs=1)
    folder = run_folder.reopen(settings.run_root, sys.argv[1])
    run(folder, settings, lambda url: FakeStore(Path("store.json")), FakeMlflow())
