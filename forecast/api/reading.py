"""Reading a caller's frame, and saying what had to be inferred."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from forecast.errors import InferredFrequency
from forecast.models.frames import to_panel
from forecast.models.panel import Panel
from forecast.models.rows import Duplicates
from forecast.models.schema import Schema


def read_panel(
    df: Any,  # noqa: ANN401  # a pandas frame, a pyarrow table, or what turns into one
    freq: str | int | None,
    exog: Sequence[str],
    id_col: str,
    time_col: str,
    target_col: str,
    duplicates: Duplicates,
) -> tuple[Panel, Schema]:
    """`to_panel`, with an `InferredFrequency` warning where the frequency was left out."""
    panel, schema = to_panel(
        df, freq, exog, id_col=id_col, time_col=time_col, target_col=target_col, duplicates=duplicates
    )
    if schema.freq_inferred:
        text = panel.freq.text
        warnings.warn(f"freq was not given; inferred {text!r} from the data", InferredFrequency, stacklevel=3)
    return panel, schema
