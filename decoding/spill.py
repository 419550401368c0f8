"""Cold blocks in a memory-mapped file."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from decoding.errors import InputError, MemoryPlanError, ParamError

Bytes = npt.NDArray[np.uint8]


class SpillFile:
    """A file of equal rooms, one a block, for its bytes as they are.

    The file has no name once it is open: it vanishes with the process, however that ends.

    Parameters
    ----------
    room_bytes
        Size of a block.
    n_rooms
        How many fit.
    folder
        Where to put the file; None: where temporary files go.

    Raises
    ------
    MemoryPlanError
        The folder has no space for the whole file: it is set aside here, not while a request runs.
    ParamError
        There is no such folder, or nothing can be written there.
    """

    def __init__(self, room_bytes: int, n_rooms: int, folder: str | Path | None = None) -> None:
        if room_bytes < 1 or n_rooms < 1:
            raise InputError(f"a spill file needs rooms and bytes, got {n_rooms} of {room_bytes} bytes")
        self.n_rooms = n_rooms
        self._free: list[int] = []
        self._n_used = 0
        """Rooms that were ever given out: those beyond are free too."""
        size, where = room_bytes * n_rooms, tempfile.gettempdir() if folder is None else folder
        try:
            free = shutil.disk_usage(where).free
            if size > free:
                raise MemoryPlanError(f"a file of {n_rooms} cold blocks in {where}", size, free)
            mapped = _mapped(size, where)
        except (OSError, TypeError, ValueError) as error:
            raise ParamError("spill_folder", folder, f"be a folder to write to ({error})") from error
        self._rooms: Bytes | None = np.frombuffer(mapped, dtype=np.uint8).reshape(n_rooms, room_bytes)

    @property
    def n_free(self) -> int:
        """Rooms that hold nothing."""
        return len(self._free) + self.n_rooms - self._n_used

    def store(self, content: Bytes) -> int:
        """Write a block (room_bytes,) and return its room; one must be free."""
        rooms = self._open()
        if self._free:
            room = self._free.pop()
        else:
            room, self._n_used = self._n_used, self._n_used + 1
        rooms[room] = content
        return room

    def load(self, room: int) -> Bytes:
        """View a room, (room_bytes,); valid until it is dropped."""
        return np.asarray(self._open()[room])

    def drop(self, room: int) -> None:
        """Forget a room's content."""
        self._free.append(room)

    def close(self) -> None:
        """Give the file back to the system, once nobody looks at a room any more."""
        self._rooms = None

    def _open(self) -> Bytes:
        if self._rooms is None:
            raise InputError("the spill file is closed")
        return self._rooms


def _mapped(size: int, folder: str | Path) -> mmap.mmap:
    """Map a new file without a name."""
    handle, name = tempfile.mkstemp(prefix="kv-", suffix=".spill", dir=folder)
    try:
        os.unlink(name)
        # A sparse file on a full disk would end the process at the first write to the map.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, size)
        else:
            os.truncate(handle, size)
        return mmap.mmap(handle, size)
    finally:
        os.close(handle)
