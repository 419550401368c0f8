"""Records that were deleted before they were read."""

from __future__ import annotations

from pipelines.log.records import Partition
from pipelines.logs import log


def tell_skipped(partition: Partition, first: int, end: int) -> None:
    """Say that the offsets from `first` up to `end` are passed over."""
    log.warning("%s/%d: offsets %d to %d are kept no longer", *partition, first, end - 1)
