"""A 64-bit ARM machine without one: programs by qemu-user on an unpacked Debian; no root, no container.

The system's own packages and lists are not touched: apt works in folders of its own. A program that asks for
`/proc/cpuinfo` gets a file of that name in the unpacked system; the one of the machine below is of another
architecture, and ONNX Runtime crashes over it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.services.edge.cache import COMMAND_TIMEOUT_S, command, made_once
from tests.services.edge.environments import REQUIREMENTS, uv

# Python with the standard library; what they depend on comes along.
PACKAGES = ("python3", "libstdc++6")
EMULATOR = "qemu-aarch64-static"
# A Raspberry Pi 4. The emulator's own invention ("max") has instructions that it emulates wrongly.
CPU = "cortex-a72"
# Counted up when the way it is made changes.
RECIPE = "1"

_CPUINFO = """\
processor\t: {core}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


@dataclass(frozen=True, slots=True)
class Device:
    """Runs Python programs as an aarch64 device would, with NumPy and ONNX Runtime."""

    folder: Path

    @property
    def python(self) -> list[str]:
        """The command that stands for `python`; needs `env`."""
        root = self.folder / "root"
        (python,) = (root / "usr" / "bin").glob("python3.[0-9][0-9]")
        return [str(_emulator(self.folder)), "-L", str(root), str(python)]

    @property
    def env(self) -> dict[str, str]:
        return {
            "QEMU_CPU": CPU,
            "PYTHONHOME": str(self.folder / "root" / "usr"),
            "PYTHONPATH": str(self.folder / "site"),
            "PYTHONDONTWRITEBYTECODE": "",
            "OMP_NUM_THREADS": "1",
        }

    def run(
        self, arguments: Sequence[str | Path], env: Mapping[str, str] | None = None, text: str | None = None
    ):
        """Run `python ARGUMENTS` to its end."""
        return subprocess.run(
            [*self.python, *map(str, arguments)], env={**os.environ, **self.env, **(env or {})}, input=text,
            capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S,
        )  # fmt: skip


def device() -> Device:
    """Return the device, made the first time (100 MB to fetch).

    Raises
    ------
    MissingError
        No apt-get and dpkg, no network, or a distribution without arm64 beside its own architecture.
    """
    pins = REQUIREMENTS / "edge-device.txt"
    return Device(made_once("aarch64", f"{RECIPE}\n{PACKAGES}\n{pins.read_text()}", _make))


def _make(folder: Path) -> None:
    if _installed() is None:
        _fetch_emulator(folder)
    root = folder / "root"
    root.mkdir()
    for package in _fetch(folder / "apt-arm64", "arm64", PACKAGES):
        command(["dpkg", "--extract", package, root])
    shutil.rmtree(folder / "apt-arm64")
    _write_machine(root)
    (python,) = (root / "usr" / "bin").glob("python3.[0-9][0-9]")
    command(
        [
            uv(), "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:",
            "--target", folder / "site", "--python-platform", "aarch64-unknown-linux-gnu",
            "--python-version", python.name.removeprefix("python"), "-r", REQUIREMENTS / "edge-device.txt",
        ]
    )  # fmt: skip
    found = Device(folder)
    command([*found.python, "-c", "import numpy, onnxruntime"], env=found.env)


def _fetch_emulator(folder: Path) -> None:
    """Take the one program out of a package that has thirty."""
    own = command(["dpkg", "--print-architecture"]).strip()
    state = folder / "apt-own"
    (package,) = _fetch(state, own, ["qemu-user-static"], alone=True)
    command(
        ["sh", "-c", f'dpkg --fsys-tarfile "$1" | tar -x -C "$2" ./usr/bin/{EMULATOR}', "sh", package, folder]
    )
    shutil.rmtree(state)


def _fetch(state: Path, architecture: str, packages: Sequence[str], *, alone: bool = False) -> list[Path]:
    """Fetch packages with all that they depend on, or `alone`, by an apt that knows of no installed ones."""
    archives = state / "cache" / "archives"
    for place in (state / "state" / "lists" / "partial", archives / "partial"):
        place.mkdir(parents=True)
    (state / "state" / "status").touch()
    settings = {
        "Dir::State": state / "state",
        "Dir::State::status": state / "state" / "status",
        "Dir::Cache": state / "cache",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        # Else apt would change to a user who may not write here, and look for locks of the system.
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    command(["apt-get", "-qq", *options, "update"])
    if alone:
        command(["apt-get", "-qq", *options, "download", *packages], cwd=archives)
    else:
        ask = ["install", "--download-only", "--yes", "--no-install-recommends"]
        command(["apt-get", "-qq", *options, *ask, *packages])
    return sorted(archives.glob("*.deb"))


def _write_machine(root: Path) -> None:
    """Write what programs look up about the processor."""
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text("".join(_CPUINFO.format(core=core) for core in range(2)))
    cpus = root / "sys" / "devices" / "system" / "cpu"
    cpus.mkdir(parents=True)
    for name in ("possible", "present"):
        (cpus / name).write_text("0-1\n")


def _installed() -> str | None:
    return shutil.which(EMULATOR) or shutil.which("qemu-aarch64")


def _emulator(folder: Path) -> str:
    return _installed() or str(folder / "usr" / "bin" / EMULATOR)
