"""The files that go with a run: per-series table, report, summary, and the model as MLflow serves it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.tracking.summary import JobSummary

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Dataset
    from mlflow.models import ModelSignature

    from forecast.api.fitted import Fitted

# MLflow keeps 36 characters of a digest; these many of a sha256 still name it.
_DIGEST_CHARACTERS = 36

# Beside the report of the fits: a row a series and candidate, baselines too, with nothing but scores.
SCORES: Final = "scores.parquet"

# Of the intervals that the logged model gives when it is not told.
LEVELS = (80.0, 95.0)


def dataset(summary: JobSummary) -> Dataset:
    """Return what MLflow shows of the training data: where, how much, and the digest; no rows."""
    data = summary.dataset
    profile = {name: data[name] for name in ("n_series", "n_rows", "freq")}
    return told_dataset(summary.fleet, str(data["digest"]), str(data["source"]), profile)


def told_dataset(name: str, digest: str, source: str, profile: Mapping[str, Any]) -> Dataset:
    """Return what MLflow shows of data that it cannot fetch itself."""
    from mlflow.entities import Dataset

    return Dataset(
        name=name,
        digest=digest.removeprefix("sha256:")[:_DIGEST_CHARACTERS],
        # "code" is MLflow's kind for data that it is told of and cannot fetch itself: a query, a folder.
        source_type="code",
        source=json.dumps({"tags": {"source": source}}),
        profile=json.dumps(dict(profile)),
    )


def pack(summary: JobSummary, folder: str) -> None:
    """Put everything that is uploaded into `folder`, as it will lie in the run."""
    root = Path(folder)
    _copy(summary.per_series, root / "series")
    if summary.scores is not None:
        shutil.copy(summary.scores, root / "series" / SCORES)
    if summary.report is not None:
        _copy(summary.report, root / "report")
    (root / "summary.json").write_text(summary.to_json(), encoding="utf-8")
    _pack_model(summary, root / "model")


def _copy(source: str, folder: Path) -> None:
    folder.mkdir()
    shutil.copy(source, folder)


def _pack_model(summary: JobSummary, folder: Path) -> None:
    metadata = {"forecast.version": summary.version, "forecast.fleet": summary.fleet}
    _save(summary.model_folder, folder, summary.input_example, summary.horizon, metadata)


def save_version(
    model_folder: str,
    folder: Path,
    horizon: int,
    metadata: dict[str, str],
    find_parent: Callable[[str], str],
    parents: Path | None,
) -> None:
    """Write the MLflow model `folder` around a version that may hold changes to others only.

    Parameters
    ----------
    find_parent
        Returns the folder of a version, here and now.
    parents
        What tells the logged model where they are when it is loaded; None: it is whole.
    """
    _save(model_folder, folder, {}, horizon, metadata, find_parent, parents)


def _save(
    model_folder: str,
    folder: Path,
    example: Mapping[str, list[Any]],
    horizon: int,
    metadata: dict[str, str],
    find_parent: Callable[[str], str] | None = None,
    parents: Path | None = None,
) -> None:
    """Write the MLflow model `folder` around the model version in `model_folder`."""
    import mlflow.pyfunc
    import pandas as pd

    import forecast as fc

    fitted = fc.load(model_folder, None if parents is None else find_parent)
    asked = pd.DataFrame(dict(example)) if example else question(fitted, horizon)
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(Path(__file__).with_name("model.py")),
        artifacts={"model": model_folder} | ({} if parents is None else {"parents": str(parents)}),
        signature=signature(fitted, asked, horizon),
        input_example=asked,
        pip_requirements=_requirements(),
        metadata=metadata,
    )


def rehearse() -> None:
    """Write a model of one short series: what is loaded for that is there when it matters."""
    import pandas as pd

    import forecast as fc

    days = pd.date_range("2000-01-01", periods=8, freq="D")
    df = pd.DataFrame({"unique_id": "x", "ds": days, "y": range(8)})
    with tempfile.TemporaryDirectory() as folder:
        fc.fit(df, model=fc.Naive(), freq="D").save(f"{folder}/stored")
        _save(f"{folder}/stored", Path(folder) / "model", {}, 1, {})


def question(fitted: Fitted, horizon: int) -> pd.DataFrame:
    """Return an example of a question: two series, or one with its next regressors, all 0."""
    if not fitted.schema.exog:
        return first_two(fitted)
    from forecast.api.prediction import last_times
    from forecast.models.output import to_frame
    from pipelines.tracking.serving import only

    one = only(fitted, [fitted.records[0].ids[0]])
    records = one.records[0]
    frame = to_frame(records.ids, last_times(records), records.freq, horizon, {}, one.schema)
    return frame.assign(**dict.fromkeys(one.schema.exog, 0.0))


def first_two(fitted: Fitted) -> pd.DataFrame:
    """Return a question about the first two series of a model."""
    import pandas as pd

    return pd.DataFrame({fitted.schema.id_col: list(fitted.records[0].ids[:2])})


def signature(fitted: Fitted, example: pd.DataFrame, horizon: int) -> ModelSignature:
    """Return the types of question, answer and params; `example` is answered, so the model can."""
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ParamSchema, ParamSpec, Schema

    from pipelines.tracking.serving import answer

    reply = answer(fitted, example, horizon, LEVELS)
    params = ParamSchema(
        [ParamSpec("h", "long", horizon), ParamSpec("level", "double", list(LEVELS), shape=(-1,))]
    )
    return ModelSignature(Schema(_inputs(fitted, example)), infer_signature(reply).inputs, params)


def _inputs(fitted: Fitted, example: pd.DataFrame) -> list[Any]:
    from mlflow.models import infer_signature
    from mlflow.types import ColSpec

    # One column at a time: a missing value in a regressor is no reason to warn of integers.
    columns = [spec for name in example for spec in infer_signature(example[[name]]).inputs.inputs]
    if "h" not in example and not fitted.schema.exog:
        columns.append(ColSpec("long", "h", required=False))
    return columns


def _requirements() -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("forecast-platform", "mlflow", "numpy", "pandas")]
