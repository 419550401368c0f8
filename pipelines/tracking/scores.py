"""Scores of the series of runs, out of MLflow: fetched within limits, read as Parquet and nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forecast.errors import InputError
from pipelines.tracking.log import TIMEOUT_S, answer_of, experiment_of
from pipelines.tracking.summary import check_plain
from pipelines.tracking.tracker import Tracker

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

SCORES: Final = ("mase", "rmsse", "smape", "mae", "rmse", "crps", "msis")
"""Columns of a table of scores that runs can be compared by; lower is better in each."""

# A fleet of a million series with four models and ten scores is 200 MB.
LIMIT_BYTES: Final = 256_000_000

# Of a table, unpacked: a file of a few bytes can claim to hold as many rows as it likes.
_MOST_UNPACKED_BYTES: Final = 1_000_000_000
_ROW_BYTES: Final = 24


@dataclass(frozen=True, slots=True, eq=False)
class RunScores:
    """One run: what it was scored on, and the score of each of its series."""

    run_id: str
    job: str
    """Run id of the job: another one for a candidate."""
    job_id: str
    model: str
    """Alias of the model whose scores these are."""
    main: bool
    """Whether the job is for that model; false for the other candidates."""
    digest: str
    """Of the training data."""
    basis: Mapping[str, str]
    """What else makes scores incomparable: horizon, windows, season, frequency."""
    scores: pd.Series[float] | None
    """By id, as text; None when there are none."""
    why: str
    """Why there are none."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The scores of some runs of a fleet."""

    runs: Mapping[str, RunScores]
    """By run id."""
    against: str | None
    """Run id of the job that was asked for; None when there is none."""
    champion: str | None
    """Run id of the champion's job, as MLflow's alias says; None while there is none."""


def scores(
    tracking_uri: str,
    fleet: str,
    run_ids: Sequence[str],
    score: str = "mase",
    *,
    against: str | None = None,
    experiment: str | None = None,
    limit_bytes: int = LIMIT_BYTES,
    timeout_s: float = TIMEOUT_S,
    tracker: Tracker | None = None,
) -> Scored:
    """Return a score of every series, by run.

    Parameters
    ----------
    run_ids
        Of jobs or of candidates, as `runs` returns them.
    score
        One of `SCORES`.
    against
        A job id, or "champion"; its run comes on top.
    limit_bytes
        Of one table; a run with a larger one has no scores, and says so.

    Raises
    ------
    TrackingError
        MLflow is absent, down or slow, or names no champion.
    InputError
        There is no such score, or `against` is no name of a job.
    """
    if score not in SCORES:
        raise InputError(f"there is no score {score!r} of a series; one of {', '.join(SCORES)}")
    if against is not None:
        check_plain("the job to compare with", against)
    request: dict[str, Any] = {"do": "scores", "fleet": fleet, "run_ids": list(run_ids), "against": against}
    request |= {"experiment": experiment or experiment_of(fleet), "limit_bytes": limit_bytes}
    with tempfile.TemporaryDirectory() as folder:
        answer = answer_of({**request, "folder": folder}, tracking_uri, timeout_s, tracker)
        tables = {job: _Table.of(found, score) for job, found in answer["jobs"].items()}
    found = {
        run_id: tables[each["job"]].of_run(run_id, each["job"], each["candidate"])
        for run_id, each in answer["runs"].items()
    }
    return Scored(found, answer["against"], answer["champion"])


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """What a job said, and its table: id, model, score."""

    said: Mapping[str, Any]
    rows: pd.DataFrame | None
    why: str

    @staticmethod
    def of(said: Mapping[str, Any], score: str) -> _Table:
        if said["file"] is None:
            return _Table(said, None, said["why"])
        try:
            return _Table(said, _read(Path(said["file"]), score), "")
        except InputError as error:
            return _Table(said, None, str(error))

    def of_run(self, run_id: str, job: str, candidate: str) -> RunScores:
        """Return the scores of a candidate; of the model that the job is for where the run is the job's."""
        said, own = self.said, self._model()
        model = candidate or own
        found, why = (None, self.why) if self.rows is None else _of_model(self.rows, model)
        return RunScores(
            run_id, job, said["job_id"], model, model == own, said["digest"], said["basis"], found, why
        )

    def _model(self) -> str:
        """Return the alias of the model that the job is for: the first, where a run does not name it."""
        if self.said["model"] or self.rows is None:
            return str(self.said["model"])
        return str(self.rows["model"].iloc[0])


def _of_model(rows: pd.DataFrame, model: str) -> tuple[pd.Series[float] | None, str]:
    """Return the scores of one model by id, or why there are none."""
    own: pd.Series[float] = rows.loc[rows["model"] == model].set_index("id")["score"]
    twice = own.index[own.index.duplicated()]
    if own.empty:
        return None, f"its table has no rows of {model}"
    if len(twice):
        return None, f"its table has a series twice ({twice[0]})"
    return own, ""


def _read(file: Path, score: str) -> pd.DataFrame:
    """Return id, model and score of a table, the ids as text.

    Raises
    ------
    InputError
        It is no Parquet file, has no such column, or unpacks to more than memory should take.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            return _rows(table, score)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        line = str(error).partition("\n")[0][:200]
        raise InputError(f"its table cannot be read: {line}") from None


def _rows(table: pq.ParquetFile, score: str) -> pd.DataFrame:
    import pandas as pd

    _check(table, score)
    id_col = table.schema_arrow.names[0]
    read = table.read(columns=[id_col, "model", score])
    return pd.DataFrame(
        {
            "id": read.column(id_col).to_pandas().astype(str),
            "model": read.column("model").to_pandas().astype(str),
            "score": read.column(score).to_pandas().astype("float64"),
        }
    )


def _check(table: pq.ParquetFile, score: str) -> None:
    """Refuse a table without what is asked for, before anything of it is unpacked."""
    import pyarrow as pa

    schema, meta = table.schema_arrow, table.metadata
    if not {"model", score} <= set(schema.names[1:]) or len(set(schema.names)) < len(schema.names):
        raise InputError(f"its table has no {score} of each series and model (no backtest, or another table)")
    if any(pa.types.is_nested(field.type) for field in schema):
        raise InputError("its table has nested columns: it is no table of scores")
    kind = schema.field(score).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise InputError(f"its table has a {score} that is no number ({kind})")
    if not meta.num_rows:
        raise InputError("its table is empty")
    size = sum(meta.row_group(g).total_byte_size for g in range(meta.num_row_groups))
    # Repeated values take no room in the file, and eight bytes or more each in memory.
    size = max(size, _ROW_BYTES * meta.num_rows)
    if size > _MOST_UNPACKED_BYTES:
        most = _MOST_UNPACKED_BYTES / 1e6
        raise InputError(f"its table unpacks to {size / 1e6:.0f} MB, more than {most:.0f}")
