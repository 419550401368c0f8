"""Kernels that call one lane program each, as the programs cannot be called from Python."""

from __future__ import annotations

from decoding.kernels.dot4 import WAYS, dot4
from decoding.kernels.lanes import F32S, I32S, lane_program
from decoding.kernels.panels import panel_f32, panel_int4, panel_int8
from decoding.kernels.rows import gate, normalise, quantise, quantise_head, rotate
from decoding.kernels.tiles import begin, rescale, soften
from forecast.kernels._jit import large_kernel

PANELS = {"fp32": panel_f32, "int8": panel_int8, "int4": panel_int4}


def _dot4(way):
    @lane_program("iiii")
    def program(lanes, acc, weights, x, out):
        found = dot4(lanes, *(lanes.load(I32S, address) for address in (acc, weights, x)), way)
        lanes.store(found, out)

    @large_kernel
    def run(acc, weights, x, out):
        program(acc, weights, x, out)

    return run


DOT4 = {way: _dot4(way) for way in WAYS}


@lane_program("ii")
def _exp(lanes, x, out):
    lanes.store(lanes.exp(lanes.load(F32S, x)), out)


@large_kernel
def exp(x, out):
    _exp(x, out)


@large_kernel
def panel(kind, weights, x, x_stride, out, out_stride, n_blocks, tokens, add):
    if kind == 0:
        panel_f32(weights, x, x_stride, out, out_stride, n_blocks, tokens, add)
    elif kind == 1:
        panel_int8(weights, x, x_stride, out, out_stride, n_blocks, tokens, add)
    else:
        panel_int4(weights, x, x_stride, out, out_stride, n_blocks, tokens, add)


@large_kernel
def normalise_row(x, weight, out, n16, size, eps):
    normalise(x, weight, out, n16, size, eps)


@large_kernel
def quantise_row(x, record, n_blocks):
    quantise(x, record, n_blocks)


@large_kernel
def quantise_one(x, out, n16):
    return quantise_head(x, out, n16)


@large_kernel
def gate_row(x, up, out):
    gate(x, up, out)


@large_kernel
def rotate_row(x, cosines, sines, half):
    rotate(x, cosines, sines, half)


@large_kernel
def soften_spans(scores, state, out, scale, valid, n_spans):
    begin(state, 0)
    for i in range(n_spans):
        tiles = min(4, (valid - 64 * i + 15) // 16)
        soften(scores + 256 * i, state, scale, valid - 64 * i, tiles)
        rescale(out, state, 1)
