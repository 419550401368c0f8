"""The input of a job, read once: files that cannot be read are told, files that change are an error."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forecast.errors import ForecastError, InputError, nearest
from pipelines.errors import TrainError
from pipelines.logs import log
from pipelines.train.job import Job

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET: Final = (".parquet", ".pq")
_KINDS: Final = (*_PARQUET, ".csv", ".csv.gz")


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
    names = _files(root)
    tables: list[pa.Table] = []
    files, skipped = [], []
    for name in names:
        label = name.relative_to(root).as_posix() if name != root else str(root)
        try:
            table, facts = _read_file(name, root, job)
            tables = _fitting(tables, table)
        except ForecastError as error:
            if job.strict or len(names) == 1:
                raise
            log.warning("%s is left out: %s", label, error)
            skipped.append(Skipped(label, str(error)))
            continue
        files.append({"file": label, **facts})
    if not tables:
        raise InputError(f"none of the {len(names)} files in {root} can be read; {skipped[0].reason}")
    return Found(_joined(tables), tuple(files), tuple(skipped))


def columns(job: Job) -> list[str]:
    """Columns that the job reads."""
    return [job.id_col, job.time_col, job.target_col, *job.exog]


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise InputError(f"there is no file or folder {str(root)!r}")
    found = sorted(
        path
        for path in root.rglob("*")
        if path.name.lower().endswith(_KINDS)
        and not any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
    )
    if not found:
        raise InputError(f"folder {str(root)!r} holds no .parquet or .csv file")
    return found


def _read_file(path: Path, root: Path, job: Job) -> tuple[pa.Table, dict[str, Any]]:
    before = _state(path)
    if path.name.lower().endswith(_PARQUET):
        table, digest = _parquet(path, root, job)
    else:
        table, digest = _csv(path, job)
    if _state(path) != before:
        raise TrainError(f"{path} changed while it was read; run the job again", retriable=True)
    return table, {"bytes": before[0], "sha256": digest}


def _state(path: Path) -> tuple[int, int, int]:
    """Size, time of the last change, and which file it is."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return (-1, 0, 0)
    return status.st_size, status.st_mtime_ns, status.st_ino


def _parquet(path: Path, root: Path, job: Job) -> tuple[pa.Table, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = path.read_bytes()  # read once: what is hashed is what is parsed
        file = pq.ParquetFile(pa.BufferReader(data))
        hive = _hive(path, root, columns(job))
        wanted = [name for name in columns(job) if name not in hive]
        check_columns(wanted, file.schema_arrow.names)
        table = file.read(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    for name, value in hive.items():
        table = table.append_column(name, pa.repeat(pa.scalar(value), len(table)))
    return table.select(columns(job)), hashlib.sha256(data).hexdigest()


def _hive(path: Path, root: Path, wanted: Sequence[str]) -> dict[str, str]:
    """Columns that stand in the names of folders: ``unique_id=a/part.parquet``."""
    if path == root:
        return {}
    pairs = [part.partition("=") for part in path.relative_to(root).parts[:-1]]
    return {name: value for name, sign, value in pairs if sign and name in wanted}


def _csv(path: Path, job: Job) -> tuple[pa.Table, str]:
    from pipelines.tables import read_table

    frame = read_table(path, job.time_col)
    check_columns(columns(job), [str(name) for name in frame.columns])
    return to_arrow(frame[columns(job)]), hashlib.sha256(path.read_bytes()).hexdigest()


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
    except (pa.ArrowException, TypeError) as error:
        raise InputError(f"a column mixes types: {str(error).splitlines()[0]}") from None
    return table


def check_columns(wanted: Sequence[str], have: Sequence[str]) -> None:
    """Raise `InputError` where a column is missing, with the name that is nearest."""
    for name in wanted:
        if name not in have:
            raise InputError(f"column {name!r} is missing{nearest(name, have)}")


def _fitting(tables: list[pa.Table], table: pa.Table) -> list[pa.Table]:
    """Return `tables` and one more; InputError where its types do not go with theirs."""
    import pyarrow as pa

    if not tables:
        return [table]
    try:
        pa.unify_schemas([_plain(tables[0]).schema, _plain(table).schema], promote_options="permissive")
    except pa.ArrowException:
        for field in tables[0].schema:
            other = table.schema.field(field.name).type
            if other != field.type:
                raise InputError(
                    f"column {field.name!r} is {other}, but {field.type} in the files before it"
                ) from None
        raise
    return [*tables, table]


def _plain(table: pa.Table) -> pa.Table:
    """Return a table with dictionaries and short strings as large strings, which go together."""
    import pyarrow as pa

    fields = []
    for field in table.schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        kind = pa.large_string() if pa.types.is_string(kind) or pa.types.is_string_view(kind) else kind
        fields.append(pa.field(field.name, kind))
    return table.cast(pa.schema(fields)) if pa.schema(fields) != table.schema else table


def _joined(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables([_plain(table) for table in tables], promote_options="permissive")
