"""Install and rollback on disks that fail at every single change."""

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from edge.runtime import ed25519
from edge.runtime.device import status
from edge.runtime.errors import InstallError
from edge.runtime.installing import install, rollback
from tests.edge.runtime.broken_disks import CountingDisk, FullDisk, Killed, PowerCut, TornDisk
from tests.edge.runtime.roots import KEYS, leftovers, serving


@pytest.fixture(scope="module")
def templates(made, tmp_path_factory):
    """Roots to copy: empty, with version 1, with 1 and 2."""
    base = tmp_path_factory.mktemp("templates")
    (base / "none").mkdir()
    (base / "none" / "keys.json").write_bytes(KEYS.to_bytes())
    for name, versions in (("one", (1,)), ("two", (1, 2))):
        for version in versions:
            install(made[version], base / name, KEYS)
    return base


def fresh(templates, name, root):
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(templates / name, root, symlinks=True)
    return root


def changes(templates, name, root, act):
    """How many changes `act` makes, and their names."""
    disk = CountingDisk()
    act(fresh(templates, name, root), disk)
    return disk.log


DISKS = {
    "killed before": lambda k: CountingDisk(k),
    "killed after": lambda k: CountingDisk(k, after=True),
    "torn": lambda k: TornDisk(k),
    "power, nothing stays": lambda k: PowerCut(k),
    "power, names stay": lambda k: PowerCut(k, names_stay=True),
    "power, out of order": lambda k: PowerCut(k, last_stays=True),
    "full": lambda k: FullDisk(k),
}
ACTS = {
    "first": ("none", lambda made: lambda root, disk: install(made[1], root, disk=disk), {None, 1}),
    "update": ("one", lambda made: lambda root, disk: install(made[2], root, disk=disk), {1, 2}),
    "third": ("two", lambda made: lambda root, disk: install(made[3], root, disk=disk), {2, 3}),
    "rollback": ("two", lambda made: lambda root, disk: rollback(root, disk=disk), {1, 2}),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", DISKS)
@pytest.mark.parametrize("act", ACTS)
def test_a_fault_at_every_change(made, templates, tmp_path, monkeypatch, act, fault):
    # The self-test is the same at every change, and most of the time: it has tests of its own.
    monkeypatch.setattr("edge.runtime.installing.self_test", lambda _: ())
    for pure in ("verify", "decode"):  # the same few signatures, thousands of times
        monkeypatch.setattr(ed25519, pure, cache(getattr(ed25519, pure)))
    name, bind, expected = ACTS[act]
    run, root = bind(made), tmp_path / "root"
    log = changes(templates, name, root, run)
    assert len(log) > 8
    seen = set()
    for k in range(len(log)):
        fresh(templates, name, root)
        with suppress(Killed, InstallError):
            run(root, DISKS[fault](k))
        what = f"change {k}: {log[k]}"
        found = status(root)["current"]
        seen.add(None if found is None else serving(root, forecasts=k % 10 == 0))
        assert seen <= expected, what
        highest = status(root)["highest_version"]
        assert found is None or highest >= found["bundle_version"], what
        check_recovery(made, root, act, what)
    assert seen == expected  # both sides of the switch were met


def check_recovery(made, root, act, what):
    """After any fault: what was begun can be done, undone, and leaves nothing lying about."""
    goal = {"first": 1, "update": 2, "third": 3, "rollback": 2}[act]
    install(made[goal], root, disk=CountingDisk())
    assert serving(root, forecasts=False) == goal, what
    assert leftovers(root) == [], what
    assert len(list((root / "releases").iterdir())) <= 2, what
    if goal > 1:
        rollback(root, disk=CountingDisk())
        assert serving(root, forecasts=False) == goal - 1, what


def test_a_fault_at_some_changes(made, templates, tmp_path):
    """The quick part of the test above."""
    root = tmp_path / "root"
    run = ACTS["update"][1](made)
    log = changes(templates, "one", root, run)
    switch = log.index(("rename", "current"))
    for k, version in ((3, 1), (switch, 1), (switch + 1, 2), (len(log) - 1, 2)):
        with pytest.raises(Killed):
            run(fresh(templates, "one", root), CountingDisk(k))
        assert serving(root) == version
        check_recovery(made, root, "update", f"change {k}")


KILLED = """
import os, signal, sys
from pathlib import Path
from edge.runtime.disk import Disk
from edge.runtime.installing import install

class Suicidal(Disk):
    left = int(sys.argv[3])
    def do(self, what, path, act):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return act()

install(Path(sys.argv[1]), Path(sys.argv[2]), disk=Suicidal())
"""


@pytest.mark.slow
def test_a_process_that_is_really_killed(made, templates, tmp_path):
    root = tmp_path / "root"
    log = changes(templates, "one", root, ACTS["update"][1](made))
    switch = log.index(("rename", "current"))
    for k in (0, 5, len(log) // 2, switch - 1, switch, switch + 1, switch + 3, len(log) - 1):
        fresh(templates, "one", root)
        command = [sys.executable, "-c", KILLED, str(made[2]), str(root), str(k)]
        done = subprocess.run(command, check=False, capture_output=True, cwd=Path(__file__).parents[3])
        assert done.returncode == -9, done.stderr
        assert serving(root) == (1 if k <= switch else 2)
        check_recovery(made, root, "update", f"change {k}")


def test_the_counter_is_raised_before_the_switch(made, templates, tmp_path):
    root = tmp_path / "root"
    names = changes(templates, "one", root, ACTS["update"][1](made))
    assert names.index(("rename", "counter.json")) < names.index(("rename", "current"))
    assert json.loads((root / "counter.json").read_text())["highest"] == 2
