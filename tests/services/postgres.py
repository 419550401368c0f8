"""A private PostgreSQL server for tests: its own data, on a free port, gone when the block ends."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

# Seconds; a busy machine takes some for its first start.
START_TIMEOUT_S = 60


def find_binaries() -> Path | None:
    """Return the folder of `initdb` and `pg_ctl`: of POSTGRES_BIN, of PATH, or where Debian puts them."""
    named = os.environ.get("POSTGRES_BIN")
    if named:
        return Path(named)
    on_path = shutil.which("initdb")
    if on_path and (Path(on_path).resolve().parent / "pg_ctl").exists():
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


@dataclass
class Postgres:
    """A server that can be stopped and started again."""

    binaries: Path
    folder: Path
    port: int
    options: str

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://forecast@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        log = str(self.folder / "log")
        self.run(
            "pg_ctl",
            "-D",
            self.data,
            "-l",
            log,
            "-o",
            self.options,
            "-w",
            "-t",
            str(START_TIMEOUT_S),
            "start",
        )

    def stop(self) -> None:
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL, as the user `postgres` where we are root, which it refuses."""
        line = [str(self.binaries / program), *arguments]
        if os.geteuid() == 0:
            line = ["runuser", "-u", "postgres", "--", *line]
        # A file, not a pipe: the server would inherit the pipe, and reading it would never end.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(line, cwd="/", stdout=said, stderr=said, check=False)
            if done.returncode:
                said.seek(0)
                raise RuntimeError(f"{' '.join(line)}: {said.read().decode(errors='replace')}")


@contextmanager
def postgres_server(fsync: bool = False) -> Iterator[Postgres]:
    """Yield a running server; skip the test where there is none to run, fail it where CI=true."""
    binaries = find_binaries()
    if binaries is None:
        reason = "needs the programs of PostgreSQL: on PATH, or in the folder POSTGRES_BIN"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="forecast-pg-"))
    port = _free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync={'on' if fsync else 'off'}"
    server = Postgres(binaries, folder, port, options)
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        server.run("initdb", "-D", server.data, "-U", "forecast", "-A", "trust", "-E", "UTF8", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            if Path(server.data, "postmaster.pid").exists():
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
