"""Llama, Qwen2 and Qwen3 from their formulas, with the step contract: numpy, float32, one token after the
other.

The memory is that of the contract, blocks of a block table, so that a wrong table shows as wrong logits. A
token's logits depend bitwise on nothing but its own sequence: every product is that of one vector.
"""

from __future__ import annotations

import numpy as np

from decoding.config import ModelConfig


def read_weights(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def normalise(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(eps)) * weight


def rotate(x, position, theta):
    """(heads, size) turned by the position; the halves are the pairs."""
    half = x.shape[1] // 2
    angle = position / theta ** (np.arange(half) / half)
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    a, b = x[:, :half], x[:, half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=1)


class Reference:
    """A StepModel."""

    def __init__(self, folder, n_blocks=64, block_size=4, layers=None):
        self.config = ModelConfig.from_folder(folder)
        self.block_size, self.n_blocks = block_size, n_blocks
        self.weights = read_weights(folder)
        c = self.config
        self.layers = range(c.n_layers) if layers is None else layers
        # NaN shows where something is read that was not written.
        self.kv = np.full(
            (n_blocks, c.n_layers, 2, block_size, c.n_kv_heads, c.head_size), np.nan, np.float32
        )
        self.steps, self.tokens = 0, 0

    @property
    def block_bytes(self):
        return self.kv[0].nbytes

    def step(self, batch):
        return self.run(batch, None)

    def run(self, batch, x):
        """Own layers: from the ids where they are the first, to the logits where they are the last."""
        self.steps, self.tokens = self.steps + 1, self.tokens + len(batch)
        if x is None:
            x = self.weights["model.embed_tokens.weight"][batch.tokens]
        out = np.empty((len(batch), self.config.hidden), np.float32)
        for i in np.argsort(batch.kv_index, kind="stable"):
            out[i] = self._token(batch, i, x[i])
        if self.layers.stop < self.config.n_layers:
            return out
        wanted = [self._logits(row) for row in out[batch.want_logits]]
        return np.array(wanted, np.float32).reshape(len(wanted), self.config.vocab)

    def _logits(self, x):
        w = self.weights
        head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
        return head @ normalise(x, w["model.norm.weight"], self.config.norm_eps)

    def _token(self, batch, i, x):
        c, w = self.config, self.weights
        place, position = int(batch.kv_index[i]), int(batch.rope_pos[i])
        row = batch.block_table[batch.slot[i]]
        for layer in self.layers:
            p = f"model.layers.{layer}."
            h = normalise(x, w[p + "input_layernorm.weight"], c.norm_eps)
            q, k, v = (
                (w[f"{p}self_attn.{n}_proj.weight"] @ h + w.get(f"{p}self_attn.{n}_proj.bias", np.float32(0)))
                .reshape(-1, c.head_size)
                for n in "qkv"
            )  # fmt: skip
            if c.qk_norm:
                q = normalise(q, w[p + "self_attn.q_norm.weight"], c.norm_eps)
                k = normalise(k, w[p + "self_attn.k_norm.weight"], c.norm_eps)
            q, k = rotate(q, position, c.rope_theta), rotate(k, position, c.rope_theta)
            self.kv[row[place // self.block_size], layer, :, place % self.block_size] = k, v
            mixed = self._attend(q, row, place, layer)
            x = x + w[p + "self_attn.o_proj.weight"] @ mixed
            h = normalise(x, w[p + "post_attention_layernorm.weight"], c.norm_eps)
            gate, up = w[p + "mlp.gate_proj.weight"] @ h, w[p + "mlp.up_proj.weight"] @ h
            x = x + w[p + "mlp.down_proj.weight"] @ (gate / (1 + np.exp(-gate)) * up)
        return x

    def _attend(self, q, row, place, layer):
        """(heads * size,): each query head over all places up to its own."""
        blocks = row[: place // self.block_size + 1]
        past = self.kv[blocks, layer].swapaxes(0, 1).reshape(2, -1, *self.kv.shape[-2:])[:, : place + 1]
        group = self.config.n_heads // self.config.n_kv_heads
        out = []
        for head, vector in enumerate(q):
            keys, values = past[:, :, head // group]
            score = keys @ vector / np.sqrt(np.float32(self.config.head_size))
            weight = np.exp(score - score.max())
            out.append(weight @ values / weight.sum())
        return np.concatenate(out)

    def copy_block(self, source, target):
        self.kv[target] = self.kv[source]

    def read_block(self, block):
        return self.kv[block].reshape(-1).view(np.uint8).copy()

    def write_block(self, block, content):
        self.kv[block] = content.view(np.float32).reshape(self.kv[block].shape)

    def close(self):
        self.kv = None
