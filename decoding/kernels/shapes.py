"""What the forward pass is told: sizes, and addresses of the arrays that the caller keeps alive.

Everything is a whole number but for the constants of the norm: what numba compiles does not depend on a
model. Strides and sizes are in bytes where the name says so; else in numbers. "Padded" is to 16 or 32 with
zeros.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np


def _constant(value: int) -> int:
    """Return an int64: numba would compile a function again for every Python constant it is given."""
    return cast("int", np.int64(value))


F32, INT8, INT4 = _constant(0), _constant(1), _constant(2)
"""Kinds of weights; of the KV cache, the first two."""

NONE, ONE = _constant(0), _constant(1)
""""No address", or "false"; and "true"."""


class Shape(NamedTuple):
    """A model."""

    n_layers: int
    hidden: int
    hidden_padded: int
    n_heads: int
    n_kv_heads: int
    head: int
    head_padded: int
    q_padded: int
    qkv_padded: int
    mlp_padded: int
    vocab_padded: int
    n_experts: int
    experts_per_token: int
    qk_norm: int
    kind: int
    kv_kind: int
    block_size: int
    eps: float
    softmax_scale: float


class Weights(NamedTuple):
    """Addresses; the matrices' are tables of int64 addresses, by layer and expert."""

    embedding: int
    output: int
    qkv: int
    attention_out: int
    gate_up: int
    down: int
    router: int
    attention_norm: int
    mlp_norm: int
    final_norm: int
    q_norm: int
    k_norm: int
    qkv_bias: int


class Cache(NamedTuple):
    """Keys and values, (blocks, layers, 2, kv heads, tiles) and the steps of their places."""

    content: int
    steps: int


class Work(NamedTuple):
    """The tokens of one step."""

    n: int
    tokens: int
    slot: int
    kv_index: int
    block_table: int
    max_blocks: int
    cosines: int
    sines: int
    runs: int
    """(n_runs, 2) int64: first token, and how many follow it place by place in one slot."""
    n_runs: int
    wanted: int
    """(n_wanted,) int64 tokens whose logits are asked for."""
    n_wanted: int
    logits: int


class Buffers(NamedTuple):
    """Room for what lies between the phases."""

    x: int
    """(n, hidden_padded) the residual stream."""
    records: int
    """(rows, record_bytes) inputs of the next product; threads have rows of their own in a small step."""
    record_bytes: int
    output_records: int
    """(threads, n_wanted) inputs of the output layer."""
    qkv: int
    attended: int
    gated: int
    picked: int
    """(n, experts_per_token) int64 experts, and where in `order` they are; see `decoding.kernels.experts`."""
    picked_weights: int
    """(n, experts_per_token) float32."""
    order: int
    """(n experts_per_token,) int64 tokens by expert; then (n_experts + 1,) where each expert's begin."""
    gathered: int
    """(n experts_per_token) records."""
    mixed: int
    """(n experts_per_token, hidden_padded) what the experts say."""
    own: int
    """(threads, own_bytes) of a thread's own."""
    own_bytes: int
    counters: int
    """int64: the barrier's at 0; a line for each thread's epoch; then one a layer to hand out tasks."""


class Team(NamedTuple):
    """One thread among those that run a step."""

    thread: int
    n_threads: int
    first: int
    last: int
    """Tokens it makes inputs of; all of them in a small step."""
    small: int
    """Nobody waits for inputs: every thread makes them all."""
    records: int
    counter: int
    epoch: int
    tasks: int
    own: int
