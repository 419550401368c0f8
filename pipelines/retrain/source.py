"""Where a refit reads its data: the history of the training and the archive of ticks, or a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.errors import InputError, nearest
from pipelines.errors import TrainError
from pipelines.train.job import Job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forecast.models.panel import Panel
    from forecast.models.schema import Schema
    from pipelines.store import VersionRow


@dataclass(frozen=True, slots=True)
class Source:
    """Data to read in place of the history, with the columns of the job that trained the fleet."""

    text: str
    """Path of a file or folder, or a query."""
    sql: bool = False
    url: str | None = None
    """Database of the query."""


def training_of(row: VersionRow) -> Mapping[str, Any]:
    """Return what a version was trained on, and by which job; `TrainError` where that was not noted."""
    training = row.training or {}
    if not isinstance(training.get("job"), dict):
        raise TrainError(
            f"{row.name}: the store does not say what it was trained on; train {row.fleet!r} anew with "
            "`forecast train`"
        )
    return training


def job_of(row: VersionRow) -> Job:
    """Return the job that trained the first of a line of versions."""
    plain = training_of(row)["job"]
    try:
        return Job.from_json(plain)
    except (InputError, LookupError, TypeError) as error:
        raise TrainError(f"{row.name}: the job that trained it cannot be read: {error}") from None


def read_history(row: VersionRow, root: Path, wanted: Sequence[str]) -> Panel:
    """Return the series of the training history whose ids read `wanted`, in that order.

    Raises
    ------
    TrainError
        The history is gone, or damaged, or holds none of the series; the message says what to do.
    """
    from pipelines.train.history import History

    folder = _folder(row, root)
    history = History(folder)
    try:
        return _pick(history, wanted, row)
    except (OSError, LookupError, ValueError, TrainError) as error:
        damage = history.damage()
        if damage is None:
            raise
        raise TrainError(
            f"the history of {row.name} at {folder} is damaged ({damage}): {_otherwise(row)}"
        ) from error


def _folder(row: VersionRow, root: Path) -> Path:
    noted = training_of(row).get("history")
    if not isinstance(noted, str):
        raise TrainError(f"{row.name}: the store does not say where its history is; {_otherwise(row)}")
    folder = Path(noted)
    # The folder of histories may have been moved as a whole, and the setting with it.
    for there in (folder, root.absolute() / row.fleet / folder.name):
        if (there / "history.json").is_file():
            return there
    raise TrainError(f"the history of {row.name} is not at {folder}: put it back, or {_otherwise(row)}")


def _otherwise(row: VersionRow) -> str:
    return f"refit from a file: forecast retrain --now --fleet {row.fleet} --input FILE"


def _pick(history: Any, wanted: Sequence[str], row: VersionRow) -> Panel:  # noqa: ANN401  # a History
    import numpy as np
    import pyarrow.parquet as pq

    from pipelines.train.history import SERIES

    ids = pq.read_table(history.folder / SERIES, columns=["id"], memory_map=True)["id"].to_pylist()
    at = {str(key): k for k, key in enumerate(ids)}
    missing = [key for key in wanted if key not in at]
    if missing:
        raise TrainError(
            f"the history of {row.name} has no series {missing[0]!r}{nearest(missing[0], list(at))} "
            f"({len(missing)} of {len(wanted)} are missing)"
        )
    size = int(history.facts["partition_size"])
    places = np.array([at[key] for key in wanted], dtype=np.int64)
    parts, rows = [], []
    for k in np.unique(places // size).tolist():
        mine = np.flatnonzero(places // size == k)
        parts.append(history.panel(k).take(places[mine] - k * size))
        rows.append(mine)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return joined(parts).take(order)


def read_source(row: VersionRow, source: Source, schema: Schema, wanted: Sequence[str]) -> Panel:
    """Return the series of a file or a query whose ids read `wanted`, in that order.

    Raises
    ------
    InputError
        It cannot be read, or lacks a series.
    """
    import numpy as np

    from forecast.models.frames import to_panel

    job = replace(job_of(row), input=source.text, sql=source.sql)
    panel, _ = to_panel(
        _read(source, job), _freq(row), schema.exog, id_col=job.id_col, time_col=job.time_col,
        target_col=job.target_col, duplicates=job.duplicates,
    )  # fmt: skip
    at = {str(key): k for k, key in enumerate(panel.ids.tolist())}
    missing = [key for key in wanted if key not in at]
    if missing:
        raise InputError(
            f"{source.text!r} has no series {missing[0]!r}{nearest(missing[0], list(at))} "
            f"({len(missing)} of {len(wanted)} are missing)"
        )
    return panel.take(np.array([at[key] for key in wanted], dtype=np.int64))


def _read(source: Source, job: Job) -> Any:  # noqa: ANN401  # a table
    if source.sql:
        from pipelines.train.sql_source import read_sql

        if source.url is None:
            raise InputError("--sql needs a database: --from URL, or source_url in the settings")
        return read_sql(source.url, job).table
    from pipelines.train.inputs import read_path

    return read_path(source.text, job).table


def _freq(row: VersionRow) -> Any:  # noqa: ANN401  # as `parse_freq` takes it
    return int(row.freq) if row.freq.lstrip("-").isdecimal() else row.freq


def joined(panels: Sequence[Panel]) -> Panel:
    """Return panels of one grid and the same regressors as one."""
    import numpy as np

    from forecast.models.panel import Panel

    if len(panels) == 1:
        return panels[0]
    lengths = np.concatenate([panel.lengths for panel in panels])
    notes: dict[int, str] = {}
    before = 0
    for panel in panels:
        notes |= {before + i: text for i, text in panel.notes.items()}
        before += panel.n_series
    return Panel(
        np.concatenate([panel.values for panel in panels]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([panel.ids for panel in panels]),
        np.concatenate([panel.start for panel in panels]),
        panels[0].freq,
        {name: np.concatenate([panel.exog[name] for panel in panels]) for name in panels[0].exog},
        np.concatenate([panel.status for panel in panels]),
        notes,
    )
