"""The input of a job, read once: files that cannot be read are told, files that change are an error."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from forecast.errors import InputError, nearest
from pipelines.errors import TrainError
from pipelines.logs import log
from pipelines.train.job import Job

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET: Final = (".parquet", ".pq")
_KINDS: Final = (*_PARQUET, ".csv", ".csv.gz")
_HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file of the input that was left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was read."""

    table: pa.Table
    files: tuple[dict[str, Any], ...]
    """Name, bytes and sha256 of each file that was read."""
    skipped: tuple[Skipped, ...] = ()


def read_path(path: str | Path, job: Job) -> Found:
    """Read the columns of `job` from a Parquet or CSV file, or from a folder of them.

    Raises
    ------
    InputError
        Nothing there, of another kind, or no file of a folder can be read.
    TrainError
        A file changed while it was read; or, under ``strict``, one cannot be read.
    """
    root = Path(path)
    names, skipped = _files(root)
    if job.strict and skipped:
        raise InputError(f"{skipped[0].file}: {skipped[0].reason}")
    tables: list[pa.Table] = []
    files = []
    for name in names:
        label = name.relative_to(root).as_posix() if name != root else str(root)
        try:
            table, facts = _read_file(name, root, job)
            tables = _fitting(tables, table, job.id_col)
        except InputError as error:
            if job.strict or (len(names) == 1 and not skipped):
                raise InputError(f"{name}: {error}") from None
            skipped.append(Skipped(label, str(error)))
            continue
        files.append({"file": label, **facts})
    for left in skipped:
        log.warning("%s is left out: %s", left.file, left.reason)
    if not tables:
        raise InputError(
            f"none of the {len(skipped)} files in {root} can be read; {skipped[0].file}: {skipped[0].reason}"
        )
    return Found(joined(tables), tuple(files), tuple(skipped))


def columns(job: Job) -> list[str]:
    """Columns that the job reads."""
    return [job.id_col, job.time_col, job.target_col, *job.exog]


def _files(root: Path) -> tuple[list[Path], list[Skipped]]:
    """Return the files of a folder in order of their names, and what cannot be read as one."""
    try:
        if stat.S_ISREG(os.stat(root).st_mode):
            return [root], []
    except OSError as error:
        raise InputError(f"there is no file or folder {str(root)!r} ({error.strerror})") from None
    if not root.is_dir():
        raise InputError(f"{str(root)!r} is neither a file nor a folder")
    skipped: list[Skipped] = []

    def closed(error: OSError) -> None:
        folder = Path(error.filename).relative_to(root).as_posix()
        skipped.append(Skipped(folder, f"the folder cannot be read: {error.strerror}"))

    found = []
    for folder, inside, names in os.walk(root, onerror=closed):
        inside[:] = [name for name in inside if not name.startswith((".", "_"))]
        for name in names:
            if not name.startswith((".", "_")) and name.lower().endswith(_KINDS):
                path = Path(folder, name)
                reason = _unreadable(path)
                if reason is None:
                    found.append(path)
                else:
                    skipped.append(Skipped(path.relative_to(root).as_posix(), reason))
    if not (found or skipped):
        raise InputError(f"folder {str(root)!r} holds no .parquet or .csv file")
    return sorted(found), sorted(skipped, key=lambda left: left.file)


def _unreadable(path: Path) -> str | None:
    """Say why a file must not be opened: opening a pipe would wait for ever."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if stat.S_ISREG(mode) else "is no regular file"


def _read_file(path: Path, root: Path, job: Job) -> tuple[pa.Table, dict[str, Any]]:
    """Return a file's columns and facts; what is raised as InputError does not name the file."""
    before = _state(path)
    try:
        data = path.read_bytes()  # read once: what is hashed is what is parsed
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    if path.name.lower().endswith(_PARQUET):
        table = _parquet(data, _hive(path, root, columns(job)), job)
    else:
        table = _csv(data, job, gzipped=path.name.lower().endswith(".gz"))
    if _state(path) != before:
        raise TrainError(f"{path} changed while it was read; run the job again", retriable=True)
    return plain_ids(table, job.id_col), {"bytes": before[0], "sha256": hashlib.sha256(data).hexdigest()}


def _state(path: Path) -> tuple[int, int, int]:
    """Size, time of the last change, and which file it is."""
    try:
        status = os.stat(path)
    except OSError:
        return (-1, 0, 0)
    return status.st_size, status.st_mtime_ns, status.st_ino


def _parquet(data: bytes, hive: dict[str, str | None], job: Job) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        wanted = [name for name in columns(job) if name not in hive]
        check_columns(wanted, file.schema_arrow.names)
        table = file.read(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read: {str(error).splitlines()[0]}") from None
    for name, value in hive.items():
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), len(table)))
    return table.select(columns(job))


def _hive(path: Path, root: Path, wanted: Sequence[str]) -> dict[str, str | None]:
    """Columns that stand in the names of folders: ``unique_id=a/part.parquet``, written as in a URL."""
    if path == root:
        return {}
    pairs = [part.partition("=") for part in path.relative_to(root).parts[:-1]]
    named = {unquote(name): value for name, sign, value in pairs if sign}
    return {
        name: None if value == _HIVE_NULL else unquote(value)
        for name, value in named.items()
        if name in wanted
    }


def _csv(data: bytes, job: Job, *, gzipped: bool) -> pa.Table:
    from pipelines.tables import read_csv

    frame = read_csv(BytesIO(data), job.time_col, job.id_col, gzipped=gzipped)
    check_columns(columns(job), [str(name) for name in frame.columns])
    return to_arrow(frame[columns(job)])


def plain_ids(table: pa.Table, id_col: str) -> pa.Table:
    """Return `table` with UUIDs as text; InputError for whole numbers beyond 64 bits with a sign."""
    import pyarrow as pa
    import pyarrow.compute as pc

    where = table.schema.get_field_index(id_col)
    kind = table.schema.field(where).type
    if str(kind) == "extension<arrow.uuid>":
        texts = [None if key is None else str(key) for key in table[id_col].to_pylist()]
        return table.set_column(where, id_col, pa.array(texts, pa.string()))
    if pa.types.is_uint64(kind) and (pc.max(table[id_col]).as_py() or 0) >= 2**63:
        raise InputError(f"column {id_col!r} holds numbers of 2^63 and more; make them text")
    return table


def to_arrow(frame: Any) -> pa.Table:  # noqa: ANN401  # a pandas frame
    """Return a pandas frame as a table without pandas' own notes."""
    import pyarrow as pa

    # Zones by hand: pyarrow asks pandas for values in a way that pandas is about to change.
    zones = {name: kind for name, kind in frame.dtypes.items() if getattr(kind, "tz", None) is not None}
    frame = frame.assign(**{str(name): frame[name].dt.tz_convert(None) for name in zones})
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        for name, kind in zones.items():
            zoned = pa.timestamp(kind.unit, pa.lib.tzinfo_to_string(kind.tz))
            table = table.set_column(table.column_names.index(name), name, table[name].cast(zoned))
    except (pa.ArrowException, TypeError, OverflowError) as error:
        said = str(error).splitlines()[0]
        raise InputError(
            f"column {_culprit(frame)!r} mixes types, or holds what cannot be kept: {said}"
        ) from None
    return table


def _culprit(frame: Any) -> str:  # noqa: ANN401  # a pandas frame
    """Name of the first column that does not become one of a table."""
    import pyarrow as pa

    for name in frame.columns:
        try:
            pa.Array.from_pandas(frame[name])
        except (pa.ArrowException, TypeError, OverflowError):
            return str(name)
    return ", ".join(str(name) for name in frame.columns)


def check_columns(wanted: Sequence[str], have: Sequence[str]) -> None:
    """Raise `InputError` where a column is missing, with the name that is nearest."""
    for name in wanted:
        if name not in have:
            raise InputError(f"column {name!r} is missing{nearest(name, have)}")


def _fitting(tables: list[pa.Table], table: pa.Table, id_col: str) -> list[pa.Table]:
    """Return `tables` and one more; InputError where its types do not go with theirs.

    Ids that are whole numbers in some files and text in others are text in all: a CSV of 1 and 2 goes with
    one of 01 and 02.
    """
    import pyarrow as pa

    if not tables:
        return [table]
    together = [_plain(one) for one in (*tables, table)]
    kinds = {one.schema.field(id_col).type for one in together}
    if pa.large_string() in kinds and any(pa.types.is_integer(kind) for kind in kinds):
        together = [_text_ids(one, id_col) for one in together]
    try:
        pa.unify_schemas([together[0].schema, together[-1].schema], promote_options="permissive")
    except pa.ArrowException:
        for field in together[0].schema:
            other = together[-1].schema.field(field.name).type
            if other != field.type:
                raise InputError(
                    f"column {field.name!r} is {other}, but {field.type} in the files before it"
                ) from None
        raise
    return together


def _text_ids(table: pa.Table, id_col: str) -> pa.Table:
    import pyarrow as pa

    where = table.schema.get_field_index(id_col)
    if not pa.types.is_integer(table.schema.field(where).type):
        return table
    return table.set_column(where, id_col, table[id_col].cast(pa.large_string()))


def _plain(table: pa.Table) -> pa.Table:
    """Return a table with dictionaries and short strings as large strings, which go together."""
    import pyarrow as pa

    fields = []
    for field in table.schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        kind = pa.large_string() if pa.types.is_string(kind) or pa.types.is_string_view(kind) else kind
        fields.append(pa.field(field.name, kind))
    return table.cast(pa.schema(fields)) if pa.schema(fields) != table.schema else table


def joined(tables: list[pa.Table]) -> pa.Table:
    """Return tables as one; InputError where a column is of types that do not go together."""
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    try:
        return pa.concat_tables([_plain(table) for table in tables], promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"a column mixes types: {str(error).splitlines()[0]}") from None
