"""Blocks of weights keep what their scale allows, and are laid out as the kernels read them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.errors import ParamError
from decoding.quantize import (
    PRECISIONS,
    Blocks,
    bfloat_up,
    check_precision,
    pack,
    packed_bytes,
    to_blocks,
)


def unpack(packed, precision, rows, columns):
    """(rows, columns) read back panel by panel, weight by weight, as the layout is described."""
    out = np.zeros((len(packed) * 16, -(-columns // 64) * 64))
    for p, panel in enumerate(packed):
        for k in range(out.shape[1]):
            for lane in range(16):
                if precision == "fp32":
                    value = panel.view(np.float32)[k * 16 + lane]
                else:
                    bits = 8 if precision == "int8" else 4
                    pair = panel.reshape(-1, 64 + 64 * 16 * bits // 8)[k // 64]
                    half, group, byte = k // 32 % 2, k % 32 // 4, k % 4
                    word = pair[:64].view(np.uint16)[half * 16 + lane]
                    scale = (np.uint32(word) << 16).view(np.float32)
                    body = pair[64:].reshape(2, -1, 16, 4)[half]
                    if bits == 8:
                        value = (int(body[group, lane, byte]) - 128) * scale
                    else:
                        both = int(body[group % 4, lane, byte])
                        value = ((both >> 4 * (group // 4) & 15) - 8) * scale
                out[p * 16 + lane, k] = value
    return out[:rows, :columns]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(1, 1), (16, 64), (19, 70)])
def test_what_is_packed_is_what_the_layout_says(precision, shape):
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    packed = pack(weights, precision)
    assert packed.size == packed_bytes(precision, *shape)
    expected = weights if precision == "fp32" else to_blocks(weights, precision).dense()[:, : shape[1]]
    np.testing.assert_array_equal(unpack(packed, precision, *shape), expected)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["int8", "int4"]), st.floats(-30, 30))
def test_no_weight_is_further_off_than_its_scale_allows(seed, precision, exponent):
    rng = np.random.default_rng(seed)
    weights = (rng.standard_t(3, size=(3, 64)) * 2.0**exponent).astype(np.float32)
    blocks = to_blocks(weights, precision)
    off = np.abs(blocks.dense() - weights).reshape(3, 2, 32)
    # Half a scale, but for int4 weights near the end of +7: they may be a whole one off.
    allowed = {"int8": 0.5, "int4": 1.0}[precision] * np.abs(blocks.scales)[:, :, None]
    assert (off <= allowed * (1 + 1e-5)).all()
    assert (blocks.scales.view(np.uint32) & 0xFFFF == 0).all()


def test_a_block_by_hand():
    weights = np.zeros((1, 32), np.float32)
    weights[0, :4] = [-4.0, 3.5, 1.0, 0.2]
    blocks = to_blocks(weights, "int4")
    # The largest, -4, becomes -8 at scale 0.5.
    np.testing.assert_array_equal(blocks.scales, [[0.5, 0.0]])
    np.testing.assert_array_equal(blocks.quants[0, 0, :5], [-8, 7, 2, 0, 0])
    np.testing.assert_array_equal(blocks.quants[0, 1], 0)


def test_blocks_of_zeros_stay_zeros():
    for precision in ("int8", "int4"):
        assert not to_blocks(np.zeros((2, 40), np.float32), precision).dense().any()


def test_scales_are_rounded_away_from_zero():
    x = np.array([1.0, 1.001, -1.001, 0.0], np.float32)
    np.testing.assert_array_equal(bfloat_up(x), np.array([1.0, 1.0078125, -1.0078125, 0.0], np.float32))


def test_dense_is_quants_times_scales():
    blocks = Blocks(np.full((1, 2, 32), 3, np.int8), np.array([[0.5, 2.0]], np.float32))
    np.testing.assert_array_equal(blocks.dense()[0], [1.5] * 32 + [6.0] * 32)


def test_an_unknown_precision_is_refused_by_name():
    with pytest.raises(ParamError, match="weights must be one of fp32, int8, int4, got 'int5'"):
        check_precision("weights", "int5")
