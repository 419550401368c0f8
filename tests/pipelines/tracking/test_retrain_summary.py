"""What a retrain says of itself, without MLflow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forecast.errors import InputError
from pipelines.tracking import Candidate, RetrainSummary
from tests.pipelines.tracking.test_retrain import RETRAIN


def test_it_survives_as_json():
    back = RetrainSummary.from_json(RETRAIN.to_json())
    assert replace(back, evidence={}) == replace(RETRAIN, evidence={})
    assert back.evidence == {"p": 0.01, "odd": "nan", "losses": [1.0, "inf"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"job": 0}, "1 or more"),
        ({"fleet": "a b"}, "fleet must be"),
        ({"metrics": {"mase_maen": 1.0}}, "mase_mean"),
        ({"candidates": (Candidate("a"), Candidate("a"))}, "same name"),
    ],
)
def test_what_is_no_retrain_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        replace(RETRAIN, **change)


def test_a_metric_that_is_not_finite_is_left_out():
    assert "p_value" not in replace(RETRAIN, metrics={"p_value": float("nan")}).metrics
