"""The architecture is read from config.json, in both styles, or refused by name."""

from __future__ import annotations

import json
import math

import pytest

from decoding.config import ModelConfig, RopeScaling
from decoding.errors import CheckpointError
from tests.decoding import goldens
from tests.decoding.checkpoints import PLAIN

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}

MIXTURE = {"architectures": ["MixtralForCausalLM"], "num_local_experts": 4, "num_experts_per_tok": 2}


@pytest.mark.parametrize("name", goldens.MODELS)
@pytest.mark.shared
def test_both_styles_of_a_golden_checkpoint_say_the_same(name):
    folder = goldens.model(name)
    new = ModelConfig.from_folder(folder)
    old = ModelConfig.from_settings(json.loads((folder / "config.v4.json").read_text(encoding="utf-8")))
    assert new == old
    assert new.vocab == 515


def test_a_plain_checkpoint_has_its_sizes():
    config = ModelConfig.from_settings(PLAIN)
    assert (config.head_size, config.q_width, config.kv_width) == (16, 64, 32)
    assert (config.eos_ids, config.bos_id, config.rope_scaling) == ((0,), 1, None)


@pytest.mark.parametrize(
    "style", [{"rope_scaling": LLAMA3}, {"rope_parameters": LLAMA3 | {"rope_theta": 5e5}}]
)
def test_llama3_scaling_is_read_in_both_styles(style):
    config = ModelConfig.from_settings(PLAIN | {"rope_theta": 5e5} | style)
    assert config.rope_theta == 5e5
    assert config.rope_scaling == RopeScaling(8.0, 1.0, 4.0, 128)


def test_a_mixture_has_experts_and_the_others_have_none():
    mixture = ModelConfig.from_settings(PLAIN | MIXTURE)
    assert (mixture.n_experts, mixture.experts_per_token) == (4, 2)
    assert ModelConfig.from_settings(PLAIN | {"num_local_experts": 4}).n_experts == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["LlamaForCausaLM"]}, "unknown architecture 'LlamaForCausaLM'; did you mean"),
        ({"architectures": ["GPT2LMHeadModel"]}, "unknown architecture"),
        ({"architectures": None}, "must name one architecture"),
        ({"hidden_size": None}, "hidden_size must be a whole number, got None"),
        ({"hidden_size": 64.0}, "hidden_size must be a whole number, got 64.0"),
        ({"vocab_size": 0}, "vocab must be at least 1"),
        ({"num_key_value_heads": 3}, "4 query heads cannot share 3"),
        ({"head_dim": 7}, "head size must be even"),
        ({"hidden_act": "gelu"}, "hidden_act must be 'silu', got 'gelu'"),
        ({"attention_bias": True}, "attention_bias is not supported"),
        ({"sliding_window": 32}, "sliding-window"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding-window"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope type 'yarn' is not supported"),
        ({"rope_scaling": LLAMA3 | {"factor": "8"}}, "factor must be a number"),
        ({"rms_norm_eps": 0}, "must be positive"),
        ({"eos_token_id": "0"}, "eos_token_id"),
        ({"eos_token_id": True}, "eos_token_id"),
        ({"eos_token_id": -1}, "eos_token_id -1 is outside the vocabulary of 83"),
        ({"eos_token_id": [0, 83]}, "eos_token_id 83 is outside the vocabulary of 83"),
        ({"num_hidden_layers": 10**9}, "no model has as many"),
        ({"num_hidden_layers": 400} | MIXTURE | {"num_local_experts": 400}, "no model has as many"),
        ({"max_position_embeddings": 10**20}, "context must be at most"),
        ({"layer_types": 5}, "sliding-window"),
        ({"layer_types": [[1]]}, "sliding-window"),
        ({"rope_theta": 10**400}, "rope_theta is beyond all floats"),
        ({"rope_theta": math.inf}, "positive and finite"),
        ({"rms_norm_eps": math.inf}, "positive and finite"),
        ({"rope_scaling": LLAMA3 | {"factor": 0}}, "llama3 rope needs"),
        ({"rope_scaling": LLAMA3 | {"factor": math.nan}}, "llama3 rope needs"),
        ({"rope_scaling": LLAMA3 | {"factor": -1}}, "llama3 rope needs"),
        ({"rope_scaling": LLAMA3 | {"low_freq_factor": 4}}, "llama3 rope needs"),
        ({"rope_scaling": LLAMA3 | {"original_max_position_embeddings": -8}}, "original_max_position"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "rope settings by part"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 5.0}}}, "by kind of layer"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is not supported, got 0.5"),
        ({"attn_logit_softcapping": 30.0}, "attn_logit_softcapping is not supported"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping is not supported"),
        ({"logit_scale": 2.0}, "logit_scale is not supported"),
        ({"embedding_multiplier": 12.0}, "embedding_multiplier is not supported"),
        ({"no_rope_layers": [1, 0]}, "no_rope_layers is not supported"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config is not supported"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings must be true or false"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(change, message):
    with pytest.raises(CheckpointError, match=message):
        ModelConfig.from_settings(PLAIN | change)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no config.json"),
        ("{", "cannot"),
        ("[]", "object"),
        ("[" * 100_000, "cannot"),
        ('{"vocab_size":' + "1" * 5000 + "}", "cannot"),
    ],
    ids=range(5),
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        ModelConfig.from_folder(tmp_path)


@pytest.mark.parametrize("name", ["a" * 5000, "\0", "\udc80"], ids=range(3))
def test_a_name_that_no_file_can_have_is_refused(name):
    with pytest.raises(CheckpointError) as caught:
        ModelConfig.from_folder(name)
    str(caught.value).encode()


def test_settings_that_change_nothing_are_taken():
    neutral = {
        "logit_scale": 1.0,
        "partial_rotary_factor": 1.0,
        "attn_logit_softcapping": None,
        "quantization_config": None,
        "layer_types": ["full_attention"] * 2,
    }
    assert ModelConfig.from_settings(PLAIN | neutral) == ModelConfig.from_settings(PLAIN)
