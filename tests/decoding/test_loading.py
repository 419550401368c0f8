"""What a folder must hold, and what is said where it does not."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from decoding import loading
from decoding.config import ModelConfig
from decoding.engine import Engine
from decoding.errors import CheckpointError, MemoryPlanError, ParamError, TokenizerError
from decoding.loading import BLOCK_SIZE, n_blocks_for, n_cores, plan_engine
from decoding.sampling.params import SamplingParams
from tests.decoding import goldens


@pytest.fixture
def folder(tmp_path):
    """A checkpoint with its tokenizer, to be spoilt."""
    shutil.copytree(goldens.model("llama-tied"), tmp_path / "m")
    for file in (tmp_path / "m").iterdir():
        file.chmod(0o644)
    shutil.copy(goldens.tokenizer("bpe") / "tokenizer.json", tmp_path / "m")
    (tmp_path / "m").chmod(0o755)
    return tmp_path / "m"


def test_the_tokenizer_beside_the_weights_is_taken(folder):
    with Engine.load(folder, threads=1) as engine:
        assert engine.generate("import", None)[0].text is not None
        assert engine.eos_ids == (0,)
    (folder / "tokenizer.json").unlink()
    with Engine.load(folder, threads=1) as engine:
        assert engine.generate([3, 4])[0].text is None


def test_ends_of_sequence_come_from_the_generation_settings(folder):
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": [0, 7]}))
    with Engine.load(folder, threads=1) as engine:
        assert engine.eos_ids == (0, 7)
    (folder / "generation_config.json").write_text('{"eos_token_id": ["x"]}')
    with pytest.raises(CheckpointError, match="generation_config"):
        Engine.load(folder)


NO_ENDS = [f'{{"eos_token_id": {e}}}' for e in ("1e400", "1.5", "true", "-1", "99999")]


@pytest.mark.parametrize("content", [*NO_ENDS, "[" * 100_000, "{", "[]"], ids=range(8))
def test_generation_settings_that_cannot_be_used_are_said(folder, content):
    (folder / "generation_config.json").write_text(content)
    with pytest.raises(CheckpointError, match="generation_config"):
        Engine.load(folder)


BAD = {
    "max_batch": [0, 2.5, "3", True],
    "threads": [0, -1, 1.5, 10**6],
    "processes": [0, 99, 1.5],
    "context": [1, 10**9, "a", 2.5],
    "kv_tokens": [0, 1.5],
    "spill_blocks": [-1, 1.5],
    "token_budget": [0, "x", 1],
    "backend": [None, "x"],
    "weights": [None, "int3"],
    "kv": [None, "fp16"],
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_setting_is_named_before_anything_is_loaded(folder, monkeypatch, name):
    monkeypatch.setattr(loading, "open_model", None)
    for value in BAD[name]:
        with pytest.raises(ParamError, match=rf"\b{name} must") as caught:
            Engine.load(folder, **({"max_batch": 2, "threads": 1} | {name: value}))
        assert caught.value.name == name
    with pytest.raises(TypeError, match="nonsense"):
        Engine.load(folder, nonsense=1)


def test_a_refused_engine_closes_its_model(folder, tmp_path):
    before = threading.active_count()
    for bad, error in (
        ({"spill_folder": tmp_path / "nowhere", "spill_blocks": 2}, ParamError),
        ({"spill_blocks": 10**12}, MemoryPlanError),
        ({"eos_ids": [99999]}, ParamError),
    ):
        with pytest.raises(error):
            Engine.load(folder, threads=3, kv_tokens=64, **bad)
        assert threading.active_count() == before


def test_ends_of_sequence_can_be_given(folder):
    with Engine.load(folder, threads=1, eos_ids=[5]) as engine:
        assert engine.eos_ids == (5,)


@pytest.mark.parametrize("path", [None, 5, b"/tmp", "", "\0", "a" * 5000], ids=range(6))
def test_what_is_no_folder_is_refused(path):
    with pytest.raises((CheckpointError, ParamError)):
        Engine.load(path)


def test_a_context_beyond_the_cache_takes_no_more_of_it(folder):
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": 2**31 - 1}))
    with Engine.load(folder, threads=1, kv_tokens=64) as engine:
        assert engine.scheduler.block_table.shape == (16, 2)
        assert engine.generate([3, 4], SamplingParams(max_new_tokens=63))[0].error is None


def test_a_tokenizer_with_a_hole_is_measured_by_its_largest_id(folder):
    file = folder / "tokenizer.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    vocab = settings["model"]["vocab"]
    vocab[max(vocab, key=vocab.get)] = 515
    file.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(CheckpointError, match="516 tokens, the model 515"):
        Engine.load(folder)


def test_a_tokenizer_of_another_model_is_refused(folder):
    with pytest.raises(CheckpointError, match="640 tokens, the model 515"):
        Engine.load(folder, tokenizer=goldens.tokenizer("unigram"))
    with pytest.raises(TokenizerError, match="no tokenizer at"):
        Engine.load(folder, tokenizer=folder / "nothing")


def test_missing_and_truncated_weights_are_said(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="truncated"):
        Engine.load(folder)
    weights.unlink()
    with pytest.raises(CheckpointError, match="no weights"):
        Engine.load(folder)


def test_the_cache_holds_whole_contexts_or_what_is_asked_for(folder):
    assert n_blocks_for(100, 3, None) == 3 * -(-100 // BLOCK_SIZE)
    assert n_blocks_for(100, 3, BLOCK_SIZE + 1) == 2
    with pytest.raises(ParamError, match="kv_tokens must"):
        n_blocks_for(100, 3, 0)
    with Engine.load(folder, threads=1, kv_tokens=64, context=128) as engine:
        assert engine.model.n_blocks == 2
        assert engine.context == 128
    assert n_cores() >= 1


@pytest.mark.parametrize("processes", [1, 2])
def test_what_cannot_fit_is_refused_before_weights_are_read(folder, monkeypatch, processes):
    plan = plan_engine(ModelConfig.from_folder(folder))
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr(loading, "available_bytes", lambda: plan.total - 1)
    with pytest.raises(MemoryPlanError, match="lower context, max_batch or kv_tokens") as caught:
        Engine.load(folder, processes=processes)
    assert (caught.value.needed, caught.value.available) == (plan.total, plan.total - 1)


def test_the_plan_of_an_engine_counts_whole_blocks(folder):
    config = ModelConfig.from_folder(folder)
    assert plan_engine(config, kv_tokens=BLOCK_SIZE + 1).kv == plan_engine(config, context=64, max_batch=1).kv
