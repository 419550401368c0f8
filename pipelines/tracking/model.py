"""The logged model as code: MLflow runs this file when it saves or loads one; nothing else imports it.

The model itself is the folder of arrays and JSON beside it, read by `forecast.load`: no pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import forecast as fc
from pipelines.tracking.parents import parents_in_registry
from pipelines.tracking.serving import answer

if TYPE_CHECKING:
    import pandas as pd


def _model() -> Any:  # noqa: ANN401  # MLflow is imported here, not where this module is only listed
    from mlflow.pyfunc.model import PythonModel, PythonModelContext

    class FleetModel(PythonModel):
        """Forecasts of a fleet."""

        def load_context(self, context: PythonModelContext) -> None:
            parents = context.artifacts.get("parents")  # of a version that holds changes to another
            find = None if parents is None else parents_in_registry(parents)
            self.fitted = fc.load(context.artifacts["model"], find)

        def predict(
            self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
        ) -> Any:  # noqa: ANN401  # a frame; the base class is taken to return None
            """See `answer`; `params` holds h and level, with defaults from the signature."""
            given = params or {}
            return answer(self.fitted, model_input, int(given["h"]), [float(v) for v in given["level"]])

    return FleetModel()


if __name__ != "pipelines.tracking.model":
    from mlflow.models import set_model

    set_model(_model())
