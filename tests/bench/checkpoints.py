"""A checkpoint of the shape of SmolLM-135M with random weights."""

from __future__ import annotations

from tests.decoding.checkpoints import write

SMOLLM_135M = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


def write_smollm(folder):
    """Write it; returns the folder."""
    return write(folder, deviation=0.05, **SMOLLM_135M)
