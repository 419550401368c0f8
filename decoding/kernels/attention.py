"""Rotary embedding, the KV cache, and attention over it, tile by tile.

Bytes of the cache: (blocks, layers, 2, kv heads, block_size / 16, head_padded, 16) numbers; the layout of a
tile is that of `decoding.kernels.tiles`. Steps, for signed bytes: (blocks, layers, 2, kv heads, block_size)
float32.
"""

from __future__ import annotations

import numpy as np

from decoding.kernels.panels import TILE
from decoding.kernels.rows import (
    clear,
    copy_rows,
    normalise,
    peek_f32,
    peek_i32,
    peek_i64,
    peek_u8,
    poke_f32,
    poke_u8,
    put_head,
    quantise_head,
    rotate,
    take_head,
)
from decoding.kernels.shapes import F32, NONE, ONE, Buffers, Cache, Shape, Weights, Work
from decoding.kernels.tiles import (
    PLACES,
    SPAN_BYTES,
    SPAN_TILES,
    STATE_BYTES,
    apply_steps,
    begin,
    mix_f32,
    mix_int8,
    rescale,
    score_f32,
    score_int8,
    soften,
)
from forecast.kernels._jit import kernel, large_kernel

QUERIES = 32
"""Most queries that share a pass over the keys: what fits beside a tile in the first-level cache."""


@kernel
def number_bytes(shape: Shape) -> int:
    """Bytes of a number in the cache."""
    return 4 if shape.kv_kind == F32 else 1


@kernel
def tile_at(shape: Shape, cache: Cache, block: int, layer: int, part: int, head: int, place: int) -> int:
    """Address of the tile that holds a place; part 0 is keys, 1 values."""
    item = ((block * shape.n_layers + layer) * 2 + part) * shape.n_kv_heads + head
    tile = item * (shape.block_size // PLACES) + place // PLACES
    return cache.content + tile * PLACES * shape.head_padded * number_bytes(shape)


@kernel
def steps_at(shape: Shape, cache: Cache, block: int, layer: int, part: int, head: int, place: int) -> int:
    """Address of a place's step; 0 in a float32 cache."""
    item = ((block * shape.n_layers + layer) * 2 + part) * shape.n_kv_heads + head
    return 0 if shape.kv_kind == F32 else cache.steps + (item * shape.block_size + place) * 4


@kernel
def block_of(work: Work, block_size: int, token: int, place: int) -> int:
    """Block that holds a place of a token's slot."""
    row = peek_i32(work.slot + token * 4) * work.max_blocks
    block: int = peek_i32(work.block_table + (row + place // block_size) * 4)
    return block


@kernel
def turn(shape: Shape, work: Work, norm: int, token: int, head: int) -> None:
    """Normalise a query or key by head where the model does, and rotate it."""
    if shape.qk_norm:
        normalise(head, norm, head, shape.head_padded // 16, np.float32(shape.head), np.float32(shape.eps))
    half = shape.head // 2
    rotate(head, work.cosines + token * half * 4, work.sines + token * half * 4, half)


@large_kernel
def store_key(shape: Shape, cache: Cache, head: int, tile: int, lane: int, steps: int, own: int) -> None:
    """Write a key to its lane of a tile."""
    if shape.kv_kind == F32:
        for d in range(shape.head_padded):
            poke_f32(tile + (d * PLACES + lane) * 4, peek_f32(head + d * 4))
        return
    poke_f32(steps, quantise_head(head, own, shape.head_padded // 16))
    for d in range(shape.head_padded):
        poke_u8(tile + d * PLACES + lane, peek_u8(own + d))


@large_kernel
def store_value(shape: Shape, cache: Cache, head: int, tile: int, lane: int, steps: int, own: int) -> None:
    """Write a value to its row of every panel of a tile."""
    if shape.kv_kind == F32:
        for p in range(shape.head_padded // 16):
            copy_rows(head + p * 64, tile + (p * PLACES + lane) * 64, 1)
        return
    poke_f32(steps, quantise_head(head, own, shape.head_padded // 16))
    for d in range(shape.head_padded):
        poke_u8(tile + (d // 16 * PLACES + lane) * 16 + d % 16, peek_u8(own + d))


@large_kernel
def store_token(
    shape: Shape,
    weights: Weights,
    cache: Cache,
    work: Work,
    buffers: Buffers,
    layer: int,
    t: int,
    h: int,
    own: int,
) -> None:
    """Write the key and the value of one token and head to the cache."""
    place = peek_i64(work.kv_index + t * 8)
    block = block_of(work, shape.block_size, t, place)
    within = place % shape.block_size
    bias = weights.qkv_bias + layer * shape.qkv_padded * 4
    row = t * shape.qkv_padded * 4
    spare = own + shape.head_padded * 4
    for part in range(2):
        column = (shape.n_heads + part * shape.n_kv_heads + h) * shape.head * 4
        clear(own, shape.head_padded // 16)
        take_head(buffers.qkv + row + column, bias + column, own, shape.head)
        tile = tile_at(shape, cache, block, layer, part, h, within)
        steps = steps_at(shape, cache, block, layer, part, h, within)
        if part == 0:
            turn(shape, work, weights.k_norm + layer * shape.head_padded * 4, t, own)
            store_key(shape, cache, own, tile, within % PLACES, steps, spare)
        else:
            store_value(shape, cache, own, tile, within % PLACES, steps, spare)


@kernel
def score_span(
    shape: Shape,
    cache: Cache,
    work: Work,
    layer: int,
    kv_head: int,
    token: int,
    queries: int,
    start: int,
    tiles: int,
    own: int,
) -> None:
    """Write the scores of all queries against the places of a span."""
    q_bytes = shape.head_padded * 4
    scores = own + 2 * QUERIES * q_bytes
    for tile in range(tiles):
        place = start + tile * PLACES
        block, within = block_of(work, shape.block_size, token, place), place % shape.block_size
        keys = tile_at(shape, cache, block, layer, NONE, kv_head, within)
        steps = steps_at(shape, cache, block, layer, NONE, kv_head, within)
        for j in range(0, queries, TILE):
            m, q, at = min(TILE, queries - j), own + j * q_bytes, scores + j * SPAN_BYTES + tile * 64
            if shape.kv_kind == F32:
                score_f32(keys, steps, q, q_bytes, at, shape.head_padded, m)
            else:
                score_int8(keys, steps, q, q_bytes, at, shape.head_padded, m)


@kernel
def mix_span(
    shape: Shape,
    cache: Cache,
    work: Work,
    layer: int,
    kv_head: int,
    token: int,
    queries: int,
    start: int,
    tiles: int,
    end: int,
    own: int,
) -> None:
    """Add the values of a span, by their shares, to the answers of all queries."""
    q_bytes, panels = shape.head_padded * 4, shape.head_padded // 16
    out = own + QUERIES * q_bytes
    scores = out + QUERIES * q_bytes
    for tile in range(tiles):
        place = start + tile * PLACES
        places = min(PLACES, end - place)
        block, within = block_of(work, shape.block_size, token, place), place % shape.block_size
        values = tile_at(shape, cache, block, layer, ONE, kv_head, within)
        if shape.kv_kind != F32:
            steps = steps_at(shape, cache, block, layer, ONE, kv_head, within)
            apply_steps(scores + tile * 64, steps, queries)
        for j in range(0, queries, TILE):
            m, at, shares = min(TILE, queries - j), out + j * q_bytes, scores + j * SPAN_BYTES + tile * 64
            if shape.kv_kind == F32:
                mix_f32(values, shares, at, q_bytes, panels, places, m)
            else:
                mix_int8(values, shares, at, q_bytes, panels, places, m)


@kernel
def take_queries(
    shape: Shape,
    weights: Weights,
    work: Work,
    buffers: Buffers,
    layer: int,
    token: int,
    head: int,
    heads: int,
    queries: int,
    own: int,
) -> None:
    """Write the queries of tokens from `token` on and heads from `head` on, and forget what was before."""
    q_bytes = shape.head_padded * 4
    out = own + QUERIES * q_bytes
    states = out + QUERIES * (q_bytes + SPAN_BYTES)
    bias = weights.qkv_bias + layer * shape.qkv_padded * 4
    for j in range(queries):
        t, column = token + j // heads, (head + j % heads) * shape.head * 4
        q = own + j * q_bytes
        clear(q, shape.head_padded // 16)
        take_head(buffers.qkv + t * shape.qkv_padded * 4 + column, bias + column, q, shape.head)
        turn(shape, work, weights.q_norm + layer * q_bytes, t, q)
        begin(states + j * STATE_BYTES, 0)
        clear(out + j * q_bytes, shape.head_padded // 16)


@large_kernel
def attend(
    shape: Shape,
    weights: Weights,
    cache: Cache,
    work: Work,
    buffers: Buffers,
    layer: int,
    token: int,
    count: int,
    head: int,
    heads: int,
    own: int,
) -> None:
    """Write the attention of `count` tokens from `token` on and of `heads` heads from `head` on.

    The tokens follow each other place by place, the heads share keys and values. Keys are seen in spans
    from the first place on, whatever the tokens.
    """
    q_bytes, queries = shape.head_padded * 4, count * heads
    out = own + QUERIES * q_bytes
    scores = out + QUERIES * q_bytes
    states = scores + QUERIES * SPAN_BYTES
    take_queries(shape, weights, work, buffers, layer, token, head, heads, queries, own)
    end = peek_i64(work.kv_index + (token + count - 1) * 8) + 1
    kv_head = head // (shape.n_heads // shape.n_kv_heads)
    scale = np.float32(shape.softmax_scale)
    for start in range(0, end, SPAN_TILES * PLACES):
        tiles = min(SPAN_TILES, (end - start + PLACES - 1) // PLACES)
        score_span(shape, cache, work, layer, kv_head, token, queries, start, tiles, own)
        for j in range(queries):
            state = states + j * STATE_BYTES
            valid = peek_i64(work.kv_index + (token + j // heads) * 8) - start + 1
            soften(scores + j * SPAN_BYTES, state, scale, valid, tiles)
            rescale(out + j * q_bytes, state, shape.head_padded // 16)
        mix_span(shape, cache, work, layer, kv_head, token, queries, start, tiles, end, own)
    for j in range(queries):
        t, column = token + j // heads, (head + j % heads) * shape.head * 4
        total = peek_f32(states + j * STATE_BYTES + 4)
        put_head(out + j * q_bytes, total, buffers.attended + t * shape.q_padded * 4 + column, shape.head)
