"""The matrix says what is so: what it has loads, what it has not is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from decoding import features
from decoding.engine import Engine
from decoding.errors import ParamError, UnsupportedError
from decoding.features import BACKENDS, FEATURES, require, table
from decoding.loading import check_feature
from tests.decoding import goldens

PAGE = Path(__file__).parents[2] / "docs" / "decoding.md"


@pytest.mark.parametrize("feature", FEATURES)
def test_what_is_not_there_is_refused_with_the_reason(feature):
    for backend in BACKENDS:
        reason = FEATURES[feature][backend]
        if reason:
            with pytest.raises(UnsupportedError, match=f"{backend} back end has no {feature}: ") as caught:
                require(backend, feature)
            assert reason in str(caught.value)
            others = [b for b in BACKENDS if not FEATURES[feature][b]]
            assert all(other in str(caught.value) for other in others)
        else:
            require(backend, feature)


@pytest.mark.parametrize(
    "settings",
    [
        *({"weights": f.split()[1]} for f in FEATURES if f.startswith("weights")),
        *({"kv": f.split()[1]} for f in FEATURES if f.startswith("kv")),
        {"spill_blocks": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize("backend", [b for b in BACKENDS if b == "numba"])
def test_what_is_there_loads_and_answers(backend, settings):
    with Engine.load(goldens.model("qwen2"), backend=backend, threads=1, **settings) as engine:
        (output,) = engine.generate([3, 4, 5])
        assert len(output.token_ids) > 0


def test_every_back_end_is_judged_on_every_feature():
    assert all(set(held) == set(BACKENDS) for held in FEATURES.values())


def test_unknown_names_are_named():
    with pytest.raises(ParamError, match="backend must be one of numba, ort; did you mean 'numba'"):
        require("nunba", "kv int8")
    with pytest.raises(ParamError, match="weights must be one of fp32, int8, int4"):
        check_feature("numba", "weights int5")
    with pytest.raises(ParamError, match="kv must be one of"):
        check_feature("numba", "kv fp16")


def test_the_page_holds_the_printed_matrix():
    assert table() in PAGE.read_text(encoding="utf-8")


def test_the_table_numbers_its_reasons():
    lines = features.table().splitlines()
    reasons = [line for line in lines if line[:1].isdigit()]
    assert [line.split(".")[0] for line in reasons] == [str(n + 1) for n in range(len(reasons))]
    assert sum(line.count("no (") for line in lines) == len(reasons)
