"""Names of the files of archived ticks, and which of them are there."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.errors import HistoryError

ID, TS, Y, OFFSET = "unique_id", "ts_ms", "y", "offset"
# Before the names of regressors: one of them may be called like a column of ours.
EXOG: Final = "x."

_NAME: Final = re.compile(r"(\d{5,10})-(\d{19})-(\d{19})(?:-(\d+)-([0-9a-f]{16}))?\.parquet")
# Listings until two in a row are the same: merging changes a folder some times a minute at most.
_LISTINGS: Final = 1000


@dataclass(frozen=True, slots=True, order=True)
class TickFile:
    """A file of ticks, told by its name."""

    partition: int
    first: int
    """Offset of its first tick, or of one before it."""
    last: int
    rows: int
    """Ticks at most."""
    name: str

    @staticmethod
    def written(partition: int, first: int, last: int) -> TickFile:
        """Return the file of what was read from `first` to `last`: the same range has the same name."""
        return TickFile(
            partition, first, last, last - first + 1, f"{partition:05d}-{first:019d}-{last:019d}.parquet"
        )

    @staticmethod
    def merged(files: Sequence[TickFile], rows: int, note: str = "") -> TickFile:
        """Return the file that several become.

        It is named by all that went in: what two writers made of different files never has one name.
        """
        text = "\n".join([note, *sorted(file.name for file in files)])
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        first, last = min(file.first for file in files), max(file.last for file in files)
        partition = files[0].partition
        name = f"{partition:05d}-{first:019d}-{last:019d}-{rows}-{digest}.parquet"
        return TickFile(partition, first, last, rows, name)

    @staticmethod
    def parse(name: str) -> TickFile | None:
        """Return the file of a name; None for one that is not ours."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        partition, first, last = (int(found[k]) for k in (1, 2, 3))
        return TickFile(partition, first, last, int(found[4] or last - first + 1), name)

    def __str__(self) -> str:
        return f"{self.name} (offsets {self.first} to {self.last} of partition {self.partition})"


def list_files(folder: Path) -> list[TickFile]:
    """Return the files that are there at one time, by partition and offset; none where the folder is not.

    While a folder is listed, files may be merged into one that the listing passed already: only two equal
    listings in a row have seen all.
    """
    before = None
    for _ in range(_LISTINGS):
        names = _names(folder)
        if names == before:
            return sorted(file for file in map(TickFile.parse, names) if file is not None)
        before = names
    raise HistoryError(f"the files of {folder} change all the time; try again", retriable=True)


def damaged(folder: Path, file: TickFile, error: BaseException) -> HistoryError:
    """Return the error of a file that is not what was written."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return HistoryError(
        f"{folder / file.name} is damaged ({reason}): move it out of the folder; its ticks, offsets "
        f"{file.first} to {file.last} of partition {file.partition}, are missing then, until a monitor of a "
        "new group reads them from the log again"
    )


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HistoryError(f"{folder} cannot be read: {error.strerror}") from None
