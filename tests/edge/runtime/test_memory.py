"""Memory that goes back to the system."""

import subprocess
import sys

import pytest

from edge.runtime import memory

SMAPS = """\
1000-3000 r-xp 00000000 08:01 11   /lib/a.so
Rss:                  8 kB
Private_Dirty:         0 kB
Shared_Dirty:          0 kB
3000-4000 r--p 00000000 08:01 11   /lib/a.so
Private_Dirty:         4 kB
4000-5000 rw-p 00000000 08:01 11   /lib/a.so
Private_Dirty:         0 kB
5000-6000 r--p 00000000 00:00 0
Private_Dirty:         0 kB
6000-7000 r--s 00000000 08:01 12   /data
Private_Dirty:         0 kB
7000-9000 r--p 00000000 08:01 13   /a file with blanks
Private_Dirty:         0 kB
"""

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
    assert list(memory._unchanged(SMAPS)) == [(0x1000, 0x3000), (0x7000, 0x9000)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is dropped")
def test_a_process_is_smaller_and_goes_on():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
