"""`forecast` in processes of their own, which die, stop or wait at a given point.

python -m tests.pipelines.train.child imports everything once and forks: a process costs milliseconds.
A line of JSON on stdin asks for one, a line on stdout answers; see tests/pipelines/children.py.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import forecast as fc
import pipelines.store
import pipelines.train.tracking
from pipelines.cli import main
from pipelines.store import Lease
from tests.pipelines.train.conftest import sales
from tests.pipelines.train.fakes import FakeMlflow

for module in ("cli.train", "cli.predict", "cli.models", "cli.db", "store", "train.run", "tables"):
    import_module(f"pipelines.{module}")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


RENEWING = threading.Lock()


# Longer than any test takes to say "go"; a test that forgets to must fail, not hang.
WAIT_S = 120.0


def renewing(self, renew=Lease.renew):
    with RENEWING:
        renew(self)


def stop() -> None:
    with RENEWING:  # else its transaction would be open, and keep the row of the lease locked
        os.kill(os.getpid(), signal.SIGSTOP)


def wait() -> None:
    """Say that we are there, and wait until we may go on, but not for ever."""
    Path("there").touch()
    end = time.monotonic() + WAIT_S
    while not Path("go").exists() and time.monotonic() < end:
        time.sleep(0.01)


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


ACTS: dict[str, Callable[[], None]] = {"die": die, "stop": stop, "wait": wait, "full": full}


def act_at(point: str, act: Callable[[], None]) -> None:
    """Do `act` at a point.

    ``file:PATTERN``: before a file or folder of that name is put in its place; it is cut in half, as in a
    power cut. ``call:MODULE:NAME:N``: when the N-th call of a function of `pipelines` has done its work,
    and has not returned.
    """
    kind, _, rest = point.partition(":")
    if kind == "file":
        replace = os.replace

        def torn(source, target, **given):
            if fnmatch(str(target), f"*/{rest}"):
                if Path(source).is_file() and act is die:
                    os.truncate(source, os.path.getsize(source) // 2)
                act()
            replace(source, target, **given)

        os.replace = torn
        return
    module, name, nth = rest.split(":")
    owner = import_module(f"pipelines.{module}")
    *path, name = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    call, calls = getattr(owner, name), []

    def called(*arguments, **given):
        found = call(*arguments, **given)
        calls.append(name)
        if len(calls) == int(nth):
            act()
        return found

    setattr(owner, name, called)


def do(asked: dict[str, object]) -> None:
    """Be the process that was asked for; does not return."""
    # A shell that runs tests in the background ignores it for all of them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(asked["cwd"])
    os.environ.update(asked["env"])
    if asked["lock_timeout_s"] is not None:
        pipelines.store.open_store.__defaults__ = (pipelines.store.DEFAULT_URL, asked["lock_timeout_s"])
    if asked["user"] is not None:
        os.setuid(asked["user"])
    if asked["point"] is not None:
        act_at(asked["point"], ACTS[asked["act"]])
    Lease.renew = renewing
    pipelines.train.tracking.ready_to_log = lambda folder, settings: nullcontext(FakeMlflow())
    code = 1
    try:
        main(asked["words"], prog_name="forecast")
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # told, for we do not end as a process does
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


def serve() -> None:
    """Fork for every line, and wait for those that are asked after."""
    fc.fit(sales(2), fc.AR(lags=2), "MS", n_jobs=1).predict(1)  # kernels are loaded once
    print("ready", flush=True)  # noqa: T201  # the protocol
    for line in sys.stdin:
        asked = json.loads(line)
        if "pid" in asked:
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["pid"], 0)[1])
        else:
            answer = os.fork() or do(asked)
        print(json.dumps(answer), flush=True)  # noqa: T201  # the protocol


if __name__ == "__main__":
    serve()
