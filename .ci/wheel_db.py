"""Upgrade, check, downgrade and upgrade a store with data in it, by an installed wheel, on both dialects.

    python .ci/wheel_db.py FORECAST

FORECAST is the command of the environment that holds the wheel; sales.csv is in the current folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.services.postgres import postgres_server  # the checkout lends its server only


def forecast(command: str, *arguments: str, code: int = 0) -> None:
    """Run the wheel's command; stop where it does not end with `code`."""
    done = subprocess.run(  # noqa: S603  # a command of ours
        [command, *arguments], capture_output=True, text=True, check=False
    )
    said = (done.stdout + done.stderr).strip()
    if done.returncode != code:
        raise SystemExit(f"forecast {' '.join(arguments)}: exit {done.returncode}, wanted {code}\n{said}")
    print(said.splitlines()[0] if said else "")


def round_trip(command: str, url: str) -> None:
    store = ("--store", url)
    train = ("train", "sales.csv", "--model", "AR", "--horizon", "3", "--no-track", *store)
    forecast(command, "db", "check", *store, code=1)  # no tables yet
    forecast(command, "db", "upgrade", *store)
    forecast(command, *train)
    forecast(command, "db", "check", *store)
    forecast(command, "db", "downgrade", "base", *store, code=2)  # there are rows: it asks
    forecast(command, "db", "downgrade", "base", "--yes", *store)
    forecast(command, "db", "check", *store, code=1)
    forecast(command, "db", "upgrade", *store)
    forecast(command, "db", "check", *store)
    forecast(command, *train)
    forecast(command, "models", "show", "sales@champion", *store)


def main() -> None:
    command = sys.argv[1]
    os.environ.pop("PYTHONPATH", None)
    round_trip(command, f"sqlite:///{Path.cwd() / 'store.db'}")
    with postgres_server() as server:
        round_trip(command, server.new_database())


if __name__ == "__main__":
    main()
