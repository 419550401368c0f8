"""Part of a forward pass: some consecutive layers, for a model that is split over processes."""

from __future__ import annotations

from decoding.kernels.experts import apply_experts
from decoding.kernels.forward import attention_layer, dense_layer, write_logits
from decoding.kernels.linear import read_row
from decoding.kernels.panels import BLOCK
from decoding.kernels.rows import peek_i32
from decoding.kernels.shapes import Buffers, Cache, Shape, Weights, Work
from decoding.kernels.team import join_team, make_inputs
from forecast.kernels._jit import large_kernel


@large_kernel
def forward_stage(
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
    """Run the tokens of a step through the layers of `shape`, in the steps of `forward`, to the last bit.

    Parameters
    ----------
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
    for layer in range(shape.n_layers):
        attention_layer(team, shape, weights, cache, work, buffers, layer)
        make_inputs(team, shape, buffers, buffers.x, width, weights.mlp_norm + layer * width * 4)
        if shape.n_experts > 0:
            apply_experts(team, shape, weights, work, buffers, layer)
        else:
            dense_layer(team, shape, weights, work, buffers, layer)
    if last:
        write_logits(team, shape, weights, work, buffers)
