"""Verdicts on runs against a reference, from their scores."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError
from pipelines.tracking.compare import compare
from tests.pipelines.tracking.test_compare import BASIS, run_scores


def test_p_values_are_corrected_for_the_runs_that_are_tested_and_no_others():
    reference = run_scores("r", "r", 0.0)
    noise = np.random.default_rng(1).normal(0, 0.3, 40)
    near = run_scores("n", "n", 0.0, scores=reference.scores + noise + 0.11)
    other = run_scores("o", "o", 0.5, digest="d2")
    [alone] = compare([near], reference)
    first, again, strange, far = compare([reference, near, other, run_scores("w", "w", 0.3)], reference)
    assert again.p_value == alone.p_value == alone.p_holm
    assert far.p_value < alone.p_value
    assert far.p_holm == pytest.approx(2 * far.p_value)  # the smallest of two; the other stays as it is
    assert again.p_holm == again.p_value
    assert [first.verdict, strange.verdict, far.verdict] == ["reference", "not comparable", "worse"]


def test_the_correction_can_take_a_verdict_back():
    reference = run_scores("r", "r", 0.0)
    shift = np.random.default_rng(3).normal(0.12, 0.28, 40)
    near = run_scores("n", "n", 0.0, scores=reference.scores + shift)
    [alone] = compare([near], reference)
    assert 0.01 < alone.p_value < 0.05
    assert alone.verdict == "worse"
    many = [near] * 5
    assert {each.verdict for each in compare(many, reference)} == {"unclear"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"digest": "d2" * 18}, "other data (d2d2d2d2, not d1)"),
        ({"digest": ""}, "data unknown"),
        ({"basis": BASIS | {"horizon": "12"}}, "other horizon (12, not 6)"),
        ({"basis": BASIS | {"windows": ""}}, "other windows (none, not 1)"),
    ],
)
def test_a_run_on_other_data_or_windows_is_told_and_not_tested(change, why):
    [found] = compare([run_scores("a", "a", 0.2, **change)], run_scores("r", "r", 0.0))
    assert (found.verdict, found.why) == ("not comparable", why)
    assert found.difference == pytest.approx(0.2)
    assert math.isnan(found.p_value)
    assert math.isnan(found.p_holm)


def test_only_series_that_both_have_are_used():
    run, reference = run_scores("a", "a", 0.2), run_scores("r", "r", 0.0)
    less = run.scores.iloc[10:].copy()
    less.loc["new"] = 1e9
    less.iloc[3] = np.nan
    turned = run_scores("a", "a", 0.2, scores=less[::-1])
    [found] = compare([turned], reference)
    assert (found.shared, found.n_run, found.n_reference) == (29, 30, 40)
    assert found.difference == pytest.approx(
        float((run.scores - reference.scores).iloc[10:].drop("s13").mean())
    )


def test_no_series_in_common_is_not_comparable():
    strangers = pd.Series([1.0, 2.0], index=["x", "y"])
    [found] = compare([run_scores("a", "a", 0.0, scores=strangers)], run_scores("r", "r", 0.0))
    assert (found.verdict, found.why, found.shared) == ("not comparable", "no series in common", 0)


def test_five_series_are_too_few_to_tell():
    few = pd.Series(np.arange(1.0, 6.0), index=list("abcde"))
    better = run_scores("a", "a", 0.0, scores=few - 0.5)
    [found] = compare([better], run_scores("r", "r", 0.0, scores=few))
    assert (found.verdict, found.why) == ("unclear", "5 series are too few to tell")
    assert found.better == 5


def test_equal_scores_are_said_to_be():
    [found] = compare([run_scores("a", "a", 0.0)], run_scores("r", "r", 0.0))
    assert (found.verdict, found.why) == ("unclear", "every score is the same")


def test_ranks_and_mean_that_disagree_are_mixed():
    reference = run_scores("r", "r", 0.0)
    mostly = reference.scores - 0.1
    mostly.iloc[0] += 1000.0
    [found] = compare([run_scores("a", "a", 0.0, scores=mostly)], reference)
    assert found.verdict == "mixed"
    assert found.why == "39 series better, 1 worse, and the mean says the contrary"


def test_a_reference_without_scores_is_refused():
    with pytest.raises(InputError, match="r has no scores to compare with: no table"):
        compare([run_scores("a", "a", 0.0)], run_scores("r", "r", 0.0, scores=None, why="no table"))


def test_what_is_not_known_is_none_in_json():
    [found] = compare([run_scores("r", "r", 0.0)], run_scores("r", "r", 0.0))
    plain = found.to_dict()
    assert plain["p_value"] is None
    assert plain["verdict"] == "reference"
