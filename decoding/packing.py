"""A checkpoint's weights in one block of memory, packed for the kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from decoding.checkpoint import Checkpoint
from decoding.config import ModelConfig
from decoding.quantize import COLUMNS, LINE, ROWS, Precision, pack, packed_bytes, padded
from decoding.step import F32
from forecast.types import I64, U8


@dataclass(frozen=True, slots=True)
class Matrix:
    """One packed matrix: its place in `PackedWeights.tables`, and its size."""

    table: str
    index: int
    rows: int
    columns: int
    precision: Precision

    @property
    def n_bytes(self) -> int:
        """Bytes it takes, to the next line."""
        return padded(packed_bytes(self.precision, self.rows, self.columns), LINE)


def matrices(config: ModelConfig, precision: Precision) -> Iterator[Matrix]:
    """List all packed matrices of a model, in the order of their use."""
    hidden, experts = config.hidden, max(config.n_experts, 1)
    # What is added to the residual stream is as wide as its padding; rows beyond the weights stay 0.
    stream = padded(hidden, COLUMNS)
    yield Matrix("embedding", 0, config.vocab, hidden, precision)
    for layer in range(config.n_layers):
        yield Matrix("qkv", layer, config.q_width + 2 * config.kv_width, hidden, precision)
        yield Matrix("attention_out", layer, stream, config.q_width, precision)
        if config.n_experts:
            yield Matrix("router", layer, config.n_experts, hidden, "fp32")
        for expert in range(experts):
            index = layer * experts + expert
            yield Matrix("gate_up", index, 2 * padded(config.mlp, COLUMNS), hidden, precision)
            yield Matrix("down", index, stream, config.mlp, precision)
    if not config.tied:
        yield Matrix("output", 0, config.vocab, hidden, precision)


@dataclass(frozen=True, slots=True, eq=False)
class PackedWeights:
    """What the kernels read.

    Parameters
    ----------
    content
        All matrices.
    tables
        Addresses of the matrices, by kind: (layers,), (layers x experts,) or (1,).
    vectors
        Norms and biases by name, (layers, width) or (1, width), padded with zeros.
    """

    config: ModelConfig
    precision: Precision
    content: U8
    tables: dict[str, I64]
    vectors: dict[str, F32]

    @property
    def n_bytes(self) -> int:
        """Bytes of the matrices."""
        return self.content.size


def load_packed(checkpoint: Checkpoint, precision: Precision) -> PackedWeights:
    """Read and pack all weights of a checkpoint, one matrix at a time.

    Raises
    ------
    CheckpointError
        A tensor that is missing, misshapen or not finite.
    """
    config = checkpoint.config
    wanted = list(matrices(config, precision))
    content = aligned_zeros(sum(matrix.n_bytes for matrix in wanted))
    tables: dict[str, list[int]] = {}
    at = 0
    for matrix in wanted:
        packed = pack(_weights(checkpoint, matrix), matrix.precision).reshape(-1)
        content[at : at + packed.size] = packed
        tables.setdefault(matrix.table, []).append(content.ctypes.data + at)
        at += matrix.n_bytes
    if config.tied:
        tables["output"] = tables["embedding"]
    tables.setdefault("router", [0])
    addresses = {name: np.array(column, np.int64) for name, column in tables.items()}
    return PackedWeights(config, precision, content, addresses, _vectors(checkpoint))


def aligned_zeros(size: int) -> U8:
    """Return bytes that begin on a multiple of 64."""
    room = np.zeros(size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size]


def _weights(checkpoint: Checkpoint, matrix: Matrix) -> F32:
    """(rows, columns) of one packed matrix."""
    config = checkpoint.config
    if matrix.table in ("embedding", "output"):
        name = "model.embed_tokens.weight" if matrix.table == "embedding" else "lm_head.weight"
        return checkpoint.tensor(name, (config.vocab, config.hidden))
    if matrix.table in ("gate_up", "down"):
        return _feed_forward(checkpoint, matrix)
    prefix = f"model.layers.{matrix.index}."
    if matrix.table == "router":
        return checkpoint.tensor(f"{prefix}block_sparse_moe.gate.weight", (config.n_experts, config.hidden))
    if matrix.table == "attention_out":
        return checkpoint.tensor(f"{prefix}self_attn.o_proj.weight", (config.hidden, config.q_width))
    widths = {"q": config.q_width, "k": config.kv_width, "v": config.kv_width}
    parts = [
        checkpoint.tensor(f"{prefix}self_attn.{part}_proj.weight", (width, config.hidden))
        for part, width in widths.items()
    ]
    return np.concatenate(parts)


def _feed_forward(checkpoint: Checkpoint, matrix: Matrix) -> F32:
    config = checkpoint.config
    layer, expert = divmod(matrix.index, max(config.n_experts, 1))
    prefix, names = f"model.layers.{layer}.mlp.", ("gate_proj", "up_proj", "down_proj")
    if config.n_experts:
        prefix = f"model.layers.{layer}.block_sparse_moe.experts.{expert}."
        names = ("w1", "w3", "w2")
    gate, up, down = (f"{prefix}{name}.weight" for name in names)
    if matrix.table == "down":
        return checkpoint.tensor(down, (config.hidden, config.mlp))
    both = [checkpoint.tensor(name, (config.mlp, config.hidden)) for name in (gate, up)]
    # Panels of gate and up alternate, so that one thread meets both halves of an output.
    wide = np.zeros((2, padded(config.mlp, COLUMNS), config.hidden), np.float32)
    wide[:, : config.mlp] = both
    panels = wide.reshape(2, -1, ROWS, config.hidden).transpose(1, 0, 2, 3)
    return np.ascontiguousarray(panels).reshape(-1, config.hidden)


def _vectors(checkpoint: Checkpoint) -> dict[str, F32]:
    config = checkpoint.config
    hidden, n = config.hidden, config.n_layers
    head, qkv = padded(config.head_size, ROWS), padded(config.q_width + 2 * config.kv_width, ROWS)
    vectors = {
        "attention_norm": np.zeros((n, padded(hidden, COLUMNS)), np.float32),
        "mlp_norm": np.zeros((n, padded(hidden, COLUMNS)), np.float32),
        "final_norm": np.zeros((1, padded(hidden, COLUMNS)), np.float32),
        "q_norm": np.zeros((n, head), np.float32),
        "k_norm": np.zeros((n, head), np.float32),
        "qkv_bias": np.zeros((n, qkv), np.float32),
    }
    vectors["final_norm"][0, :hidden] = checkpoint.tensor("model.norm.weight", (hidden,))
    for layer in range(n):
        prefix = f"model.layers.{layer}."
        for table, name in (
            ("attention_norm", "input_layernorm"),
            ("mlp_norm", "post_attention_layernorm"),
        ):
            vectors[table][layer, :hidden] = checkpoint.tensor(f"{prefix}{name}.weight", (hidden,))
        if config.qk_norm:
            for part in ("q_norm", "k_norm"):
                found = checkpoint.tensor(f"{prefix}self_attn.{part}.weight", (config.head_size,))
                vectors[part][layer, : config.head_size] = found
        if config.qkv_bias:
            widths = {"q": config.q_width, "k": config.kv_width, "v": config.kv_width}
            biases = [
                checkpoint.tensor(f"{prefix}self_attn.{part}_proj.bias", (width,))
                for part, width in widths.items()
            ]
            vectors["qkv_bias"][layer, : sum(widths.values())] = np.concatenate(biases)
    return vectors
