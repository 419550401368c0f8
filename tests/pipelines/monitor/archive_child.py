"""A process that archives ticks without an end, and is killed: ``python -m ... FOLDER SEED``."""

from __future__ import annotations

import sys

import numpy as np

from pipelines.monitor import archive
from tests.pipelines.monitor.archived import ticks

# Merge small files at once, and large ones often.
archive._FEW = 4
archive._SMALL_ROWS = 100
archive._LARGE_ROWS = 1000


def main() -> None:
    folder, position = sys.argv[1], int(sys.argv[2])
    kept = archive.TickArchive(folder)
    rng = np.random.default_rng()
    while True:
        # As a monitor after a crash: it goes on from an older position, in ranges of other lengths.
        size = int(rng.integers(1, 60))
        ids, ts, y, exog, offsets = ticks(position, size)
        kept.write(3, position, position + size - 1, ids, ts, y, exog, offsets)
        position += size
        sys.stdout.write(f"{position}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
