"""What a folder must hold, and what is said where it does not."""

from __future__ import annotations

import json
import shutil

import pytest

from decoding import loading
from decoding.config import ModelConfig
from decoding.engine import Engine
from decoding.errors import CheckpointError, MemoryPlanError, ParamError, TokenizerError
from decoding.loading import BLOCK_SIZE, n_blocks_for, n_cores, plan_engine
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
