"""The whole forward pass, run by every thread at once.

A thread takes its share of the outputs of every product, and meets the others where it needs what they
made. In a small step every thread makes the inputs of the products for itself, all in the same way: that is
faster than to wait. What is shared between them, the residual stream, is never read in the phase in which it
is written.
"""

from __future__ import annotations

from decoding.kernels.attention import QUERIES, attend, store_token
from decoding.kernels.barrier import add_atomic
from decoding.kernels.experts import apply_experts
from decoding.kernels.linear import multiply, multiply_gated, prepare, read_row
from decoding.kernels.rows import peek_i32, peek_i64
from decoding.kernels.shapes import NONE, ONE, Buffers, Cache, Shape, Team, Weights, Work
from decoding.kernels.team import join_team, make_inputs, share, wait
from decoding.quantize import BLOCK, ROWS
from forecast.kernels._jit import large_kernel


@large_kernel
def attend_all(
    team: Team, shape: Shape, weights: Weights, cache: Cache, work: Work, buffers: Buffers, layer: int
) -> None:
    """Take runs of tokens and groups of heads as they come, the longest first."""
    group = shape.n_heads // shape.n_kv_heads
    heads = min(group, QUERIES)
    if work.n_runs * shape.n_kv_heads < 4 * team.n_threads and team.n_threads > 1:
        heads = 1
    parts = (group + heads - 1) // heads
    n_tasks = work.n_runs * shape.n_kv_heads * parts
    task = add_atomic(team.tasks + layer * 8, 1)
    while task < n_tasks:
        run = work.n_runs - 1 - task // (shape.n_kv_heads * parts)
        within = task % (shape.n_kv_heads * parts)
        head = within // parts * group + within % parts * heads
        count = min(heads, group - within % parts * heads)
        token, tokens = peek_i64(work.runs + run * 16), peek_i64(work.runs + run * 16 + 8)
        attend(shape, weights, cache, work, buffers, layer, token, tokens, head, count, team.own)
        task = add_atomic(team.tasks + layer * 8, 1)


@large_kernel
def attention_layer(
    team: Team, shape: Shape, weights: Weights, cache: Cache, work: Work, buffers: Buffers, layer: int
) -> None:
    """Add the attention of all tokens to the residual stream."""
    width = shape.hidden_padded
    norm = weights.attention_norm + layer * width * 4
    make_inputs(team, shape, buffers, buffers.x, width, norm)
    first, last = share(team, shape.qkv_padded // ROWS)
    at, stride = peek_i64(weights.qkv + layer * 8), shape.qkv_padded * 4
    records, record_bytes, n = team.records, buffers.record_bytes, work.n
    multiply(shape.kind, at, first, last, records, record_bytes, buffers.qkv, stride, width // BLOCK, n, NONE)
    wait(team)
    for t in range(team.first, team.last):
        for h in range(shape.n_kv_heads):
            store_token(shape, weights, cache, work, buffers, layer, t, h, team.own)
    if not team.small:
        wait(team)
    attend_all(team, shape, weights, cache, work, buffers, layer)
    wait(team)
    make_inputs(team, shape, buffers, buffers.attended, shape.q_padded, NONE)
    first, last = share(team, width // ROWS)
    at, n_blocks = peek_i64(weights.attention_out + layer * 8), shape.q_padded // BLOCK
    multiply(shape.kind, at, first, last, records, record_bytes, buffers.x, width * 4, n_blocks, n, ONE)
    wait(team)


@large_kernel
def dense_layer(team: Team, shape: Shape, weights: Weights, work: Work, buffers: Buffers, layer: int) -> None:
    """Add the feed-forward layer of all tokens to the residual stream; their inputs are made."""
    width, n = shape.hidden_padded, work.n
    records, record_bytes = team.records, buffers.record_bytes
    first, last = share(team, shape.mlp_padded // ROWS)
    at, stride = peek_i64(weights.gate_up + layer * 8), shape.mlp_padded * 4
    n_blocks = width // BLOCK
    multiply_gated(
        shape.kind, at, first, last, records, record_bytes, buffers.gated, stride, n_blocks, n, team.own
    )
    wait(team)
    make_inputs(team, shape, buffers, buffers.gated, shape.mlp_padded, NONE)
    first, last = share(team, width // ROWS)
    at, n_blocks = peek_i64(weights.down + layer * 8), shape.mlp_padded // BLOCK
    multiply(shape.kind, at, first, last, records, record_bytes, buffers.x, width * 4, n_blocks, n, ONE)
    wait(team)


@large_kernel
def write_logits(team: Team, shape: Shape, weights: Weights, work: Work, buffers: Buffers) -> None:
    """Write the logits of the tokens that want them."""
    width = shape.hidden_padded
    for i in range(work.n_wanted):
        row = buffers.x + peek_i64(work.wanted + i * 8) * width * 4
        # Few rows: every thread makes them all, in memory that no other reads.
        record = buffers.output_records + (team.thread * work.n_wanted + i) * buffers.record_bytes
        prepare(
            shape.kind, row, weights.final_norm, shape.hidden, shape.eps, width // BLOCK, record, team.own
        )
    first, last = share(team, shape.vocab_padded // ROWS)
    records = buffers.output_records + team.thread * work.n_wanted * buffers.record_bytes
    stride, n = shape.vocab_padded * 4, work.n_wanted
    at, step = weights.output, buffers.record_bytes
    multiply(shape.kind, at, first, last, records, step, work.logits, stride, width // BLOCK, n, NONE)


@large_kernel
def forward(
    thread: int,
    n_threads: int,
    shape: Shape,
    weights: Weights,
    cache: Cache,
    work: Work,
    buffers: Buffers,
    first: bool,
    last: bool,
) -> None:
    """Run the tokens of a step through the layers of `shape`; write their keys and values.

    Parameters
    ----------
    thread, n_threads
        All threads 0 .. n_threads - 1 must be at it at the same time.
    first
        Begin with the embedding of the ids; else with what stands in ``buffers.x``.
    last
        Write the logits asked for; else leave the residual stream in ``buffers.x``.
    """
    team = join_team(thread, n_threads, work.n, buffers)
    width = shape.hidden_padded
    if first:
        for t in range(team.first, team.last):
            token, row = peek_i32(work.tokens + t * 4), buffers.x + t * width * 4
            read_row(shape.kind, weights.embedding, token, shape.hidden, width // BLOCK, row)
        if team.small:  # all write the same to the same rows: nobody may read before the last has
            wait(team)
    for layer in range(shape.n_layers):
        attention_layer(team, shape, weights, cache, work, buffers, layer)
        norm = weights.mlp_norm + layer * width * 4
        make_inputs(team, shape, buffers, buffers.x, width, norm)
        if shape.n_experts > 0:
            apply_experts(team, shape, weights, work, buffers, layer)
        else:
            dense_layer(team, shape, weights, work, buffers, layer)
    if last:
        write_logits(team, shape, weights, work, buffers)
