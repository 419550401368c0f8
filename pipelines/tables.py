"""Long frames in files: Parquet or CSV, by the ending of the name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".csv.gz")


def read_table(path: str | Path, time_col: str = "ds") -> pd.DataFrame:
    """Read a Parquet or CSV file; in a CSV the time column is parsed where it is not a number.

    Raises
    ------
    InputError
        The file is missing, of another kind, or cannot be parsed.
    """
    import pandas as pd

    name = str(path).lower()
    if not Path(path).is_file():
        raise InputError(f"there is no file {str(path)!r}")
    try:
        if name.endswith(_PARQUET):
            return pd.read_parquet(path)
        if not name.endswith(_CSV):
            raise InputError(f"{str(path)!r} must end in .parquet or .csv")
        frame = pd.read_csv(path)
    except (ValueError, OSError) as error:  # what pandas and pyarrow raise for a file they cannot parse
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} cannot be read: {error}") from None
    if time_col in frame and not pd.api.types.is_numeric_dtype(frame[time_col]):
        try:
            frame[time_col] = pd.to_datetime(frame[time_col])
        except (ValueError, TypeError) as error:
            raise InputError(f"{str(path)!r}: column {time_col!r} holds no times: {error}") from None
    return frame


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
