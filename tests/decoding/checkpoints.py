"""Checkpoints with random weights, of any shape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from decoding.config import ModelConfig

# Below this the logits of a small model are so flat that greedy decoding follows rounding.
DEVIATION = 0.14

PLAIN = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 83,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "eos_token_id": 0,
    "bos_token_id": 1,
}


def shapes(config):
    """Name and shape of every tensor."""
    yield "model.embed_tokens.weight", (config.vocab, config.hidden)
    yield "model.norm.weight", (config.hidden,)
    if not config.tied:
        yield "lm_head.weight", (config.vocab, config.hidden)
    for layer in range(config.n_layers):
        prefix = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}{name}.weight", (config.hidden,)
        for name, width in (("q", config.q_width), ("k", config.kv_width), ("v", config.kv_width)):
            yield f"{prefix}self_attn.{name}_proj.weight", (width, config.hidden)
            if config.qkv_bias:
                yield f"{prefix}self_attn.{name}_proj.bias", (width,)
        yield f"{prefix}self_attn.o_proj.weight", (config.hidden, config.q_width)
        if config.qk_norm:
            yield f"{prefix}self_attn.q_norm.weight", (config.head_size,)
            yield f"{prefix}self_attn.k_norm.weight", (config.head_size,)
        yield from _feed_forward(prefix, config)


def _feed_forward(prefix, config):
    wide, narrow = (config.mlp, config.hidden), (config.hidden, config.mlp)
    if not config.n_experts:
        yield f"{prefix}mlp.gate_proj.weight", wide
        yield f"{prefix}mlp.up_proj.weight", wide
        yield f"{prefix}mlp.down_proj.weight", narrow
        return
    yield f"{prefix}block_sparse_moe.gate.weight", (config.n_experts, config.hidden)
    for e in range(config.n_experts):
        for name, shape in (("w1", wide), ("w2", narrow), ("w3", wide)):
            yield f"{prefix}block_sparse_moe.experts.{e}.{name}.weight", shape


def write(folder, deviation=DEVIATION, seed=0, **settings):
    """Write `config.json` and `model.safetensors`; the rest is `PLAIN`. Returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = PLAIN | settings
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes(ModelConfig.from_settings(settings)):
        drawn = rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)
        tensors[name] = 1 + drawn if "norm" in name else drawn
    save_file(tensors, folder / "model.safetensors")
    return folder
