"""Memory that a device no longer needs goes back to the system."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from typing import Final

# A mapping in /proc/self/smaps: bounds, rights, and the file behind it.
_MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (r-[x-]p) \S+ \S+ \S+ +/")
# What of it is not as in the file. A page that the loader wrote is clean once it was swapped out and back,
# and not resident while it is out: `Anonymous` and `Swap` know of it. To drop it would be a crash.
_CHANGED: Final = re.compile(r"^(?:(?:Private|Shared)_Dirty|Anonymous|Swap): +(\d+) kB", re.MULTILINE)
_KNOWN: Final = re.compile(r"^Anonymous: .*?^Swap: ", re.MULTILINE | re.DOTALL)
_MADV_DONTNEED: Final = 4


def trim() -> None:
    """Return what glibc keeps of freed memory; other C libraries are left alone.

    Decoding a fleet of 10,000 series while it is loaded takes 230 MB for half a second, of which glibc would
    keep nearly all.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):  # musl, Windows
        return


def drop_start_pages() -> None:
    """Let go of code and constants that were needed to start: half of what an idle runtime has in memory.

    They stay in their files, and come back page by page where they are used again. Only mappings that nobody
    can write and nobody has written are touched. Elsewhere than on Linux nothing happens.
    """
    try:
        with open("/proc/self/smaps", encoding="utf-8", errors="replace") as file:
            mappings = list(_unchanged(file.read()))
        advise = ctypes.CDLL(None, use_errno=True).madvise
    except (OSError, AttributeError, TypeError):
        return
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in mappings:
        advise(start, end - start, _MADV_DONTNEED)


def _unchanged(smaps: str) -> Iterator[tuple[int, int]]:
    """Yield the bounds of mappings of files, private and read-only, without a page of their own."""
    for block in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", smaps):
        found = _MAPPING.match(block)
        if found and _KNOWN.search(block) and not any(int(size) for size in _CHANGED.findall(block)):
            yield int(found[1], 16), int(found[2], 16)
