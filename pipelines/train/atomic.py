"""Files that appear whole or not at all, and survive a power cut."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import TrainError

if TYPE_CHECKING:
    import pyarrow as pa


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401  # anything JSON can hold
    """Write one JSON document."""
    write_bytes(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n")


def read_json(path: Path) -> Any:  # noqa: ANN401  # what `write_json` wrote
    """Read what `write_json` wrote; TrainError when that is not what is there."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainError(f"{path} is damaged ({error}); start the job anew") from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one piece."""

    def put(part: Path) -> None:
        with open(part, "wb") as out:
            out.write(data)

    _write(path, put)


def write_parquet(path: Path, tables: pa.Table | Iterable[pa.Table]) -> None:
    """Write one table, or several of one schema one after another."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    several: Iterable[pa.Table] = (tables,) if isinstance(tables, pa.Table) else tables

    def put(part: Path) -> None:
        writer = None
        try:
            for table in _read(several):
                writer = writer or pq.ParquetWriter(part, table.schema, **_encoding(table.schema))
                # One row group a table, so that a reader finds the table again by its number.
                writer.write_table(table.cast(writer.schema), row_group_size=max(len(table), 1))
        finally:
            if writer is not None:
                writer.close()

    _write(path, put)


def _read(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield what is computed while another file is written: a file missing there is not this one's fault."""
    try:
        yield from tables
    except OSError as error:
        raise TrainError(f"a file of the job cannot be read: {str(error).splitlines()[0]}") from error


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """Options of pyarrow: a dictionary of measured numbers is only work, and larger than the numbers."""
    import pyarrow as pa

    texts, encodings = [], {}
    for field in schema:
        if pa.types.is_float64(field.type):
            encodings[field.name] = "BYTE_STREAM_SPLIT"
        elif pa.types.is_int64(field.type) or pa.types.is_timestamp(field.type):
            encodings[field.name] = "DELTA_BINARY_PACKED"
        else:
            texts.append(field.name)
    return {"compression": "zstd", "use_dictionary": texts, "column_encoding": encodings}


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_folder(source: Path, target: Path) -> None:
    """Give a finished folder its name; where one of that name, hence content, is there already, it stays."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _write(path: Path, put: Callable[[Path], None]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        put(part)
        handle = os.open(part, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(part, path)
    except OSError as error:  # a full disk, mostly; pyarrow's message is long and names no file
        reason = error.strerror or str(error).splitlines()[0]
        raise TrainError(f"{path} cannot be written: {reason}") from error
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)
