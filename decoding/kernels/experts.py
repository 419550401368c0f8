"""A mixture of experts in place of the feed-forward layer: a router picks a few for every token.

Tokens are sorted by expert, so that an expert's weights are read once a step. What a token gets depends on
its own row alone: its experts' answers are added in the order of their scores. Source: Jiang et al. (2024),
*Mixtral of experts*.
"""

from __future__ import annotations

import math

import numpy as np

from decoding.kernels.linear import multiply, multiply_gated, prepare
from decoding.kernels.rows import add_scaled, copy_rows, peek_f32, peek_i64, poke_f32, poke_i64
from decoding.kernels.shapes import F32, NONE, ONE, Buffers, Shape, Team, Weights, Work
from decoding.kernels.team import share, wait
from decoding.quantize import BLOCK, ROWS
from forecast.kernels._jit import exact_kernel, large_kernel


@exact_kernel
def pick(scores: int, n: int, chosen: int, experts: int, shares: int) -> None:
    """Write the `chosen` best of n experts, best first, and the softmax among their scores."""
    for j in range(chosen):
        best = -1
        for e in range(n):
            taken = False
            for i in range(j):
                taken |= peek_i64(experts + i * 8) == e
            if not taken and (best < 0 or peek_f32(scores + e * 4) > peek_f32(scores + best * 4)):
                best = e
        poke_i64(experts + j * 8, best)
    top = float(peek_f32(scores + peek_i64(experts) * 4))
    total = 0.0
    for j in range(chosen):
        total += math.exp(float(peek_f32(scores + peek_i64(experts + j * 8) * 4)) - top)
    for j in range(chosen):
        score = float(peek_f32(scores + peek_i64(experts + j * 8) * 4))
        poke_f32(shares + j * 4, np.float32(math.exp(score - top) / total))


@large_kernel
def route(team: Team, shape: Shape, weights: Weights, buffers: Buffers, layer: int) -> None:
    """Pick the experts of a thread's tokens."""
    width, chosen = shape.hidden_padded, shape.experts_per_token
    panels = (shape.n_experts + ROWS - 1) // ROWS
    row, scores = team.own, team.own + width * 4
    at, norm = peek_i64(weights.router + layer * 8), weights.mlp_norm + layer * width * 4
    for t in range(team.first, team.last):
        x = buffers.x + t * width * 4
        prepare(F32, x, norm, shape.hidden, shape.eps, width // BLOCK, row, row)
        multiply(F32, at, NONE, panels, row, width * 4, scores, panels * ROWS * 4, width // BLOCK, ONE, NONE)
        shares = buffers.picked_weights + t * chosen * 4
        pick(scores, shape.n_experts, chosen, buffers.picked + t * chosen * 16, shares)


@large_kernel
def sort_tokens(shape: Shape, n: int, buffers: Buffers) -> None:
    """List the tokens of every expert, and note where each token's turns are."""
    chosen = shape.experts_per_token
    starts = buffers.order + n * chosen * 8
    placed = 0
    for e in range(shape.n_experts):
        poke_i64(starts + e * 8, placed)
        for t in range(n):
            picked = buffers.picked + t * chosen * 16
            for j in range(chosen):
                if peek_i64(picked + j * 8) == e:
                    poke_i64(buffers.order + placed * 8, t)
                    poke_i64(picked + (chosen + j) * 8, placed)
                    placed += 1
    poke_i64(starts + shape.n_experts * 8, placed)


@large_kernel
def gather(team: Team, shape: Shape, n: int, buffers: Buffers) -> None:
    """Copy the tokens' records in the order of their experts."""
    first, last = share(team, n * shape.experts_per_token)
    step = buffers.record_bytes
    for i in range(first, last):
        token = peek_i64(buffers.order + i * 8)
        copy_rows(team.records + token * step, buffers.gathered + i * step, step // 64)


@large_kernel
def run_experts(
    team: Team, shape: Shape, weights: Weights, n: int, buffers: Buffers, layer: int, is_gate: int
) -> None:
    """Multiply each expert's rows: the gated product of the inputs, or the one that follows it."""
    step, starts = buffers.record_bytes, buffers.order + n * shape.experts_per_token * 8
    width, mlp = shape.hidden_padded, shape.mlp_padded
    first, last = share(team, (mlp if is_gate else width) // ROWS)
    for e in range(shape.n_experts):
        start = peek_i64(starts + e * 8)
        count = peek_i64(starts + (e + 1) * 8) - start
        if count == 0:
            continue
        index, rows = (layer * shape.n_experts + e) * 8, buffers.gathered + start * step
        if is_gate:
            at, out = peek_i64(weights.gate_up + index), buffers.gated + start * mlp * 4
            multiply_gated(
                shape.kind, at, first, last, rows, step, out, mlp * 4, width // BLOCK, count, team.own
            )
        else:
            at, out = peek_i64(weights.down + index), buffers.mixed + start * width * 4
            multiply(shape.kind, at, first, last, rows, step, out, width * 4, mlp // BLOCK, count, NONE)


@large_kernel
def add_experts(team: Team, shape: Shape, n: int, buffers: Buffers) -> None:
    """Add the experts' answers to a thread's part of the residual stream, which it multiplied itself."""
    chosen, width = shape.experts_per_token, shape.hidden_padded * 4
    first, last = share(team, shape.hidden_padded // ROWS)
    column = first * ROWS * 4
    for t in range(n):
        for j in range(chosen):
            place = peek_i64(buffers.picked + (t * 2 + 1) * chosen * 8 + j * 8)
            factor = peek_f32(buffers.picked_weights + (t * chosen + j) * 4)
            x, y = buffers.x + t * width + column, buffers.mixed + place * width + column
            add_scaled(x, y, factor, last - first)


@large_kernel
def apply_experts(
    team: Team, shape: Shape, weights: Weights, work: Work, buffers: Buffers, layer: int
) -> None:
    """Add the mixture to the residual stream; the tokens' records are made."""
    n, step = work.n, buffers.record_bytes
    route(team, shape, weights, buffers, layer)
    wait(team)
    if team.thread == 0:
        sort_tokens(shape, n, buffers)
    wait(team)
    gather(team, shape, n, buffers)
    wait(team)
    run_experts(team, shape, weights, n, buffers, layer, ONE)
    wait(team)
    first, last = share(team, n * shape.experts_per_token)
    for i in range(first, last):
        row, record = buffers.gated + i * shape.mlp_padded * 4, buffers.gathered + i * step
        prepare(shape.kind, row, NONE, NONE, shape.eps, shape.mlp_padded // BLOCK, record, team.own)
    wait(team)
    run_experts(team, shape, weights, n, buffers, layer, NONE)
    add_experts(team, shape, n, buffers)
    wait(team)
