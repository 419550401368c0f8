"""A decoder from its formulas: numpy, float64, the whole sequence at once, no cache, no blocks, no threads.

Weights are read from the file; `rounding` says what quantisation makes of matrices and of their inputs.
Sources: Touvron et al. (2023), *Llama*; Su et al. (2021), *RoFormer*; Jiang et al. (2024), *Mixtral of
experts*.
"""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load_file


def normalise(x, weight, eps):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * weight


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def frequencies(config):
    inverse = config.rope_theta ** (-np.arange(0, config.head_size, 2) / config.head_size)
    scaling = config.rope_scaling
    if scaling is None:
        return inverse
    out = []
    for f in inverse:
        wavelength = 2 * np.pi / f
        if wavelength < scaling.original_context / scaling.high_freq_factor:
            out.append(f)
        elif wavelength > scaling.original_context / scaling.low_freq_factor:
            out.append(f / scaling.factor)
        else:
            smooth = (scaling.original_context / wavelength - scaling.low_freq_factor) / (
                scaling.high_freq_factor - scaling.low_freq_factor
            )
            out.append((1 - smooth) * f / scaling.factor + smooth * f)
    return np.array(out)


def rotate(x, config):
    """(t, heads, size); the halves are the pairs."""
    angle = (np.arange(len(x))[:, None] * frequencies(config))[:, None, :]
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)


def attention(x, w, config, prefix):
    heads = []
    for name, n in (("q", config.n_heads), ("k", config.n_kv_heads), ("v", config.n_kv_heads)):
        flat = w.times(f"{prefix}{name}_proj.weight", x)
        if config.qkv_bias:
            flat = flat + w[f"{prefix}{name}_proj.bias"]
        head = flat.reshape(len(x), n, config.head_size)
        if config.qk_norm and name != "v":
            head = normalise(head, w[f"{prefix}{name}_norm.weight"], config.norm_eps)
        heads.append(rotate(head, config) if name != "v" else head)
    q, k, v = heads
    k, v = (np.repeat(h, config.n_heads // config.n_kv_heads, axis=1) for h in (k, v))
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(config.head_size)
    scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
    mixed = np.einsum("hqk,khd->qhd", softmax(scores), v).reshape(len(x), -1)
    return w.times(f"{prefix}o_proj.weight", mixed)


def feed_forward(x, w, prefix, names=("gate_proj", "up_proj", "down_proj")):
    gate, up, down = (f"{prefix}{name}.weight" for name in names)
    return w.times(down, silu(w.times(gate, x)) * w.times(up, x))


def experts(x, w, config, prefix):
    scores = softmax(x @ w.exact[f"{prefix}gate.weight"].T)
    out = np.zeros_like(x)
    for t, row in enumerate(scores):
        best = np.argsort(-row, kind="stable")[: config.experts_per_token]
        for e in best:
            answer = feed_forward(x[t : t + 1], w, f"{prefix}experts.{e}.", ("w1", "w3", "w2"))[0]
            out[t] += row[e] / row[best].sum() * answer
    return out


class Weights:
    """Tensors by name; `rounding` is a pair of functions, of a matrix and of rows that are its inputs."""

    def __init__(self, folder, rounding):
        loaded = load_file(folder / "model.safetensors")
        self.exact = {name: value.astype(np.float64) for name, value in loaded.items()}
        self.matrix, self.inputs = rounding or (lambda x: x, lambda x: x)

    def __getitem__(self, name):
        value = self.exact[name]
        return self.matrix(value) if value.ndim == 2 else value

    def times(self, name, x):
        return self.inputs(x) @ self[name].T


def logits(folder, config, tokens, rounding=None):
    """(t, vocabulary) of a sequence."""
    w = Weights(folder, rounding)
    x = w["model.embed_tokens.weight"][np.asarray(tokens)]
    for layer in range(config.n_layers):
        prefix = f"model.layers.{layer}."
        h = normalise(x, w[f"{prefix}input_layernorm.weight"], config.norm_eps)
        x = x + attention(h, w, config, f"{prefix}self_attn.")
        h = normalise(x, w[f"{prefix}post_attention_layernorm.weight"], config.norm_eps)
        if config.n_experts:
            x = x + experts(h, w, config, f"{prefix}block_sparse_moe.")
        else:
            x = x + feed_forward(h, w, f"{prefix}mlp.")
    x = normalise(x, w["model.norm.weight"], config.norm_eps)
    return w.times("model.embed_tokens.weight" if config.tied else "lm_head.weight", x)
