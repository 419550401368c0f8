"""A checkpoint of the shape of SmolLM-135M with random weights, written once into a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

SMOLLM_135M = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 49152,
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "eos_token_id": 0,
    "bos_token_id": 1,
}
# Below this the logits are so flat that greedy decoding follows rounding.
DEVIATION = 0.05


def write_checkpoint(folder, settings=SMOLLM_135M, seed=0):
    """Write `config.json` and `model.safetensors` of a dense Llama; returns the number of weights."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    hidden, mlp, heads = settings["hidden_size"], settings["intermediate_size"], settings["num_attention_heads"]
    kv = hidden // heads * settings["num_key_value_heads"]
    shapes = {"model.embed_tokens.weight": (settings["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    for layer in range(settings["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        shapes |= {
            f"{prefix}input_layernorm.weight": (hidden,),
            f"{prefix}post_attention_layernorm.weight": (hidden,),
            f"{prefix}self_attn.q_proj.weight": (hidden, hidden),
            f"{prefix}self_attn.k_proj.weight": (kv, hidden),
            f"{prefix}self_attn.v_proj.weight": (kv, hidden),
            f"{prefix}self_attn.o_proj.weight": (hidden, hidden),
            f"{prefix}mlp.gate_proj.weight": (mlp, hidden),
            f"{prefix}mlp.up_proj.weight": (mlp, hidden),
            f"{prefix}mlp.down_proj.weight": (hidden, mlp),
        }
    tensors = {
        name: rng.standard_normal(shape, dtype=np.float32) * np.float32(DEVIATION)
        if len(shape) == 2
        else 1 + rng.standard_normal(shape, dtype=np.float32) * np.float32(DEVIATION)
        for name, shape in shapes.items()
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    return sum(tensor.size for tensor in tensors.values())
