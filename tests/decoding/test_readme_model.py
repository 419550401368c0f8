"""The checkpoint that the README answers with gives what transformers gave, on any machine."""

from __future__ import annotations

import json
from pathlib import Path

from decoding import Engine, SamplingParams
from tests.decoding import goldens

FOLDER = Path(__file__).parents[1] / "fixtures" / "decoding" / "llama-tied"


def test_its_greedy_answers_are_the_goldens():
    cases = json.loads((FOLDER / "greedy.json").read_text(encoding="utf-8"))["cases"]
    with Engine.load(FOLDER, threads=1) as engine:
        params = SamplingParams(max_new_tokens=64, ignore_eos=True)
        answers = engine.generate([case["tokens"] for case in cases], params)
    assert [list(answer.token_ids) for answer in answers] == [case["new_tokens"] for case in cases]


def test_it_is_the_golden_checkpoint():
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        assert (FOLDER / name).read_bytes() == (goldens.model("llama-tied") / name).read_bytes()
    tokenizer = goldens.tokenizer("bpe") / "tokenizer.json"
    assert (FOLDER / "tokenizer.json").read_bytes() == tokenizer.read_bytes()
