"""Lane programs against NumPy: e^x, norm, quantisation, gate, rotation, panels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.kernels.panels import TILE
from decoding.quantize import PRECISIONS, pack, to_blocks
from forecast.kernels._jit import COMPILED

pytestmark = pytest.mark.skipif(not COMPILED, reason="instructions of the CPU, not of Python")

F32 = np.float32


@pytest.fixture(scope="module")
def probes():
    from tests.decoding.kernels import probes

    return probes


def exp(probes, x):
    x, out = np.ascontiguousarray(x, F32), np.empty(16, F32)
    probes.exp(x.ctypes.data, out.ctypes.data)
    return out


def test_e_to_the_x_is_within_two_units(probes):
    for start in np.linspace(-87, 87, 400):
        x = (start + np.linspace(0, 0.9, 16)).astype(F32)
        exact = np.exp(x.astype(np.float64))
        assert (np.abs(exp(probes, x) - exact) <= 2 * np.spacing(exact.astype(F32))).all()


def test_e_to_the_x_at_its_ends(probes):
    x = np.array([0.0, -0.0, -np.inf, -1e30, np.nan, 88.0, 1e30, np.inf] * 2, F32)
    found = exp(probes, x)
    assert found[0] == found[1] == 1.0
    assert 0 < found[2] == found[3] < 1e-37
    assert np.isnan(found[4])
    assert 1e38 < found[5] == found[6] == found[7] < np.inf


def test_the_norm_is_its_formula(probes):
    rng = np.random.default_rng(0)
    x, weight = np.zeros(64, F32), np.zeros(64, F32)
    x[:50], weight[:50] = rng.normal(size=50), rng.normal(size=50)
    out = np.empty(64, F32)
    probes.normalise_row(x.ctypes.data, weight.ctypes.data, out.ctypes.data, 4, F32(50), F32(1e-5))
    wide = x.astype(np.float64)
    # float32: a few roundings of numbers of size 1.
    np.testing.assert_allclose(out, wide / np.sqrt((wide**2).sum() / 50 + 1e-5) * weight, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.floats(-30, 30))
def test_a_record_holds_the_nearest_bytes_and_their_sums(probes, seed, exponent):
    x = (np.random.default_rng(seed).normal(size=(2, 32)) * 2.0**exponent).astype(F32)
    record = np.empty(2 * 32 + 8 + 8, np.uint8)
    probes.quantise_row(x.ctypes.data, record.ctypes.data, 2)
    quants = record[:64].view(np.int8).reshape(2, 32)
    steps, sums = record[64:72].view(F32), record[72:].view(np.int32)
    np.testing.assert_allclose(steps, np.abs(x).max(1) / 127, rtol=1e-6)
    np.testing.assert_array_equal(sums, quants.sum(1, dtype=np.int32))
    # Half a step, and what dividing in float32 may move across a border.
    assert (np.abs(quants * steps[:, None] - x) <= 0.5001 * steps[:, None]).all()
    assert np.abs(quants).max() == 127


def test_a_record_of_zeros_is_zeros(probes):
    x, record = np.zeros(64, F32), np.full(80, 7, np.uint8)
    probes.quantise_row(x.ctypes.data, record.ctypes.data, 2)
    assert not record.any()


def test_a_head_has_one_step(probes):
    x, out = np.linspace(-3, 2, 32, dtype=F32), np.empty(32, np.int8)
    step = probes.quantise_one(x.ctypes.data, out.ctypes.data, 2)
    assert step == pytest.approx(3 / 127, rel=1e-6)
    assert out[0] == -127
    assert (np.abs(out * step - x) <= 0.5001 * step).all()


def test_the_gate_is_silu_times_up(probes):
    x = np.array([0, 1, -1, 5, -5, 20, -20, 80, -80, 100, -100, 0.5, -0.5, 2, -2, 1e-8], F32)
    up, out = np.linspace(-2, 2, 16, dtype=F32), np.empty(16, F32)
    probes.gate_row(x.ctypes.data, up.ctypes.data, out.ctypes.data)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(out, wide / (1 + np.exp(-wide)) * up, rtol=5e-7, atol=1e-30)


@pytest.mark.parametrize("half", [1, 8, 16, 21])
def test_pairs_are_rotated(probes, half):
    rng = np.random.default_rng(half)
    x, angle = rng.normal(size=2 * half).astype(F32), rng.normal(size=half)
    cosines, sines = np.cos(angle).astype(F32), np.sin(angle).astype(F32)
    z = (x[:half] + 1j * x[half:]) * np.exp(1j * angle)
    probes.rotate_row(x.ctypes.data, cosines.ctypes.data, sines.ctypes.data, half)
    np.testing.assert_allclose(x, np.concatenate([z.real, z.imag]), atol=1e-6)


def product(probes, precision, packed, x, n_blocks, tokens, out, *, add=0):
    kind = PRECISIONS.index(precision)
    probes.panel(
        kind, packed.ctypes.data, x.ctypes.data, x.strides[0], out.ctypes.data, out.strides[0], n_blocks,
        tokens, add,
    )  # fmt: skip


def inputs(probes, precision, rows, n_blocks):
    """Rows as the panels want them, and the numbers that they stand for."""
    if precision == "fp32":
        return rows, rows.astype(np.float64)
    records = np.empty((len(rows), n_blocks * 40), np.uint8)
    for row, record in zip(rows, records, strict=True):
        probes.quantise_row(row.ctypes.data, record.ctypes.data, n_blocks)
    quants = records[:, : n_blocks * 32].view(np.int8).reshape(len(rows), n_blocks, 32)
    steps = records[:, n_blocks * 32 : n_blocks * 36].copy().view(F32)
    return records, (quants * steps[:, :, None].astype(np.float64)).reshape(len(rows), -1)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("n_blocks", [2, 6])
def test_a_panel_is_a_product_and_one_row_does_not_see_the_others(probes, precision, n_blocks):
    rng = np.random.default_rng(n_blocks)
    weights = rng.normal(size=(16, n_blocks * 32)).astype(F32)
    rows = rng.normal(size=(TILE, n_blocks * 32)).astype(F32)
    packed = pack(weights, precision)
    x, meant = inputs(probes, precision, rows, n_blocks)
    dense = weights if precision == "fp32" else to_blocks(weights, precision).dense()
    alone = np.zeros((TILE, 16), F32)
    for t in range(TILE):
        product(probes, precision, packed, x[t:], n_blocks, 1, alone[t:])
    # float32 sums of 192 products of size 1.
    np.testing.assert_allclose(alone, meant @ dense.T.astype(np.float64), atol=1e-4)
    for tokens in range(1, TILE + 1):
        together = np.full((TILE, 16), 5.0, F32)
        product(probes, precision, packed, x, n_blocks, tokens, together)
        np.testing.assert_array_equal(together[:tokens], alone[:tokens])
        np.testing.assert_array_equal(together[tokens:], 5.0)
        product(probes, precision, packed, x, n_blocks, tokens, together, add=1)
        np.testing.assert_array_equal(together[:tokens], alone[:tokens] + alone[:tokens])


@pytest.mark.parametrize("valid", [1, 15, 16, 17, 64, 65, 200])
def test_softmax_span_by_span_is_the_softmax(probes, valid):
    rng = np.random.default_rng(valid)
    n_spans = -(-valid // 64)
    scores = np.full(n_spans * 64, np.nan, F32)  # what lies beyond is not looked at
    scores[:valid] = rng.normal(size=valid) * 4
    before = scores.astype(np.float64)[:valid] * 0.5
    state, out = np.zeros(4, F32), np.ones(16, F32)
    probes.soften_spans(scores.ctypes.data, state.ctypes.data, out.ctypes.data, F32(0.5), valid, n_spans)
    exact = np.exp(before - before.max())
    assert state[0] == pytest.approx(before.max(), rel=1e-6)
    assert state[1] == pytest.approx(exact.sum(), rel=1e-5)
    last = (n_spans - 1) * 64
    np.testing.assert_allclose(scores[last:valid], exact[last:], rtol=1e-5)
    # Places beyond, in tiles that have places, get nothing.
    assert not scores[valid : -(-valid // 16) * 16].any()
