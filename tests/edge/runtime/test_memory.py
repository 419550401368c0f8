"""Memory that goes back to the system."""

import subprocess
import sys

import pytest

from edge.runtime import memory

FILE = "r--p 00000000 08:01 11   /lib/a.so"


def mapping(first, what=FILE, **sizes):
    """A mapping of one page, as the kernel tells of it."""
    told = {"Rss": 4, "Shared_Dirty": 0, "Private_Dirty": 0, "Anonymous": 0, "Swap": 0, "SwapPss": 0} | sizes
    lines = [f"{first}000-{first + 1}000 {what}", *(f"{name}:   {size} kB" for name, size in told.items())]
    return "\n".join(lines) + "\n"


# Imports much, drops it, and uses it again.
PROGRAM = """
import decimal, json, ssl
import numpy as np
from pathlib import Path
from edge.runtime.memory import drop_start_pages

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

before = resident()
drop_start_pages()
after = resident()
assert after < 0.9 * before, (before, after)
assert np.linalg.solve(np.eye(40) * 2, np.ones(40)).sum() == 20.0
assert json.loads(json.dumps(str(decimal.Decimal(1) / 3))).startswith("0.333")
"""


def test_only_files_that_nobody_changes_are_let_go():
    smaps = "".join(
        [
            mapping(1, "r-xp 00000000 08:01 11   /lib/a.so"),
            mapping(2, Private_Dirty=4, Anonymous=4),
            mapping(3, "rw-p 00000000 08:01 11   /lib/a.so"),
            mapping(4, "r--p 00000000 00:00 0"),
            mapping(5, "r--s 00000000 08:01 12   /data"),
            mapping(6, "r--p 00000000 08:01 13   /a file with blanks"),
            mapping(7, "r--p 00000000 08:01 13   /last"),
        ]
    )
    assert list(memory._unchanged(smaps)) == [(0x1000, 0x2000), (0x6000, 0x7000), (0x7000, 0x8000)]


@pytest.mark.parametrize(
    "sizes",
    [
        {"Rss": 0, "Swap": 4, "SwapPss": 4},  # written by the loader, and swapped out
        {"Private_Clean": 4, "Anonymous": 4},  # and read back
        {"Shared_Dirty": 4},
    ],
)
def test_pages_of_its_own_are_never_dropped(sizes):
    assert list(memory._unchanged(mapping(1, **sizes))) == []


def test_what_a_kernel_does_not_tell_is_not_guessed():
    text = mapping(1)
    for name in ("Anonymous", "Swap"):
        short = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{name}:"))
        assert list(memory._unchanged(short)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is dropped")
def test_a_process_is_smaller_and_goes_on():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
