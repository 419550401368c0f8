"""Long frames in files: Parquet or CSV, by the ending of the name."""

from __future__ import annotations

import os
import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from forecast.errors import InputError
from pipelines.logs import log

if TYPE_CHECKING:
    import pandas as pd

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".csv.gz")
# What pandas takes for a missing value of itself; not so in an id, where NA is Namibia.
_MISSING: Final = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]*")
_OFFSET: Final = re.compile(r".*[0-9:.]\s*(Z|[+-][0-9]{2}(:?[0-9]{2})?)\s*", re.IGNORECASE | re.DOTALL)


def read_table(path: str | Path, time_col: str = "ds", id_col: str = "unique_id") -> pd.DataFrame:
    """Read a Parquet or CSV file; `read_csv` says how the ids and times of a CSV are read.

    Raises
    ------
    InputError
        The file is missing, of another kind, or cannot be parsed.
    """
    import pandas as pd

    name = str(path).lower()
    if not Path(path).is_file():
        raise InputError(f"there is no file {str(path)!r}")
    if not name.endswith((*_PARQUET, *_CSV)):
        raise InputError(f"{str(path)!r} must end in .parquet or .csv")
    if name.endswith(_CSV):
        try:
            return read_csv(Path(path), time_col, id_col, gzipped=name.endswith(".gz"))
        except InputError as error:
            raise InputError(f"{str(path)!r}: {error}") from None
    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:  # what pandas and pyarrow raise for a file they cannot parse
        raise InputError(f"{str(path)!r} cannot be read: {error}") from None


def read_csv(source: Path | BytesIO, time_col: str, id_col: str, *, gzipped: bool) -> pd.DataFrame:
    """Parse a CSV: ids by `parse_ids`, times by `parse_times` where they are not numbers.

    Raises
    ------
    InputError
        It cannot be parsed; the message names no file.
    """
    import pandas as pd

    compression: Literal["gzip"] | None = "gzip" if gzipped else None
    try:
        names = pd.read_csv(source, nrows=0, compression=compression).columns
        if isinstance(source, BytesIO):
            source.seek(0)
        frame = pd.read_csv(
            source, compression=compression, dtype={id_col: "str"}, keep_default_na=False,
            na_values={name: [""] if name == id_col else list(_MISSING) for name in names},
        )  # fmt: skip
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"cannot be read: {str(error).strip()}") from None
    if id_col in frame:
        frame[id_col] = parse_ids(frame[id_col])
    if time_col in frame and not pd.api.types.is_numeric_dtype(frame[time_col]):
        try:
            frame[time_col] = parse_times(frame[time_col])
        except (ValueError, TypeError) as error:
            raise InputError(f"column {time_col!r} holds no times: {error}") from None
    return frame


def parse_ids(ids: pd.Series) -> pd.Series:
    """Return ids read as text as whole numbers where every one is written as a number is, else as they are.

    01, 1 and 001 are three series, hence text; so are numbers beyond 64 bits, and ids with a gap.
    """
    import numpy as np
    import pandas as pd

    codes, unique = pd.factorize(ids)
    limits = np.iinfo(np.int64)
    if len(unique) == 0 or (codes < 0).any() or not all(_INTEGER.fullmatch(text) for text in unique):
        return ids
    numbers = [int(text) for text in unique]
    if not all(limits.min <= number <= limits.max for number in numbers):
        return ids
    return pd.Series(np.array(numbers, dtype=np.int64)[codes], index=ids.index, name=ids.name)


def parse_times(times: pd.Series) -> pd.Series:
    """Parse times; where each has an offset, and not all the same, in UTC.

    Local times have two offsets as soon as they cross a change of the clocks. Which zone they are of cannot
    be seen from them: in UTC their days begin at two different hours, so daily data should be dates.

    Raises
    ------
    ValueError, TypeError
        They are no times; some of them have an offset and others none.
    """
    import pandas as pd

    try:
        return pd.to_datetime(times)
    except ValueError:
        if not all(_OFFSET.fullmatch(str(text)) for text in times.dropna()):
            raise
    parsed = pd.to_datetime(times, utc=True)
    log.warning("column %r has times of several offsets; they are read as UTC", str(times.name))
    return parsed


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a frame; the file appears whole or not at all.

    Raises
    ------
    InputError
        The name has another ending.
    """
    target = Path(path)
    name = target.name.lower()
    if not name.endswith((*_PARQUET, ".csv")):
        raise InputError(f"{str(path)!r} must end in .parquet or .csv")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if name.endswith(_PARQUET):
            frame.to_parquet(part, index=False)
        else:
            frame.to_csv(part, index=False)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
