import numpy as np
import pytest

from edge.errors import ExportError, GateError
from edge.fleet import Fleet
from edge.quantize import decode, quantize, quantized
from edge.quantize.polynomial import step_up
from tests.bench.edge_populations import resonant
from tests.oracles import edge_quantize as oracle
from tests.strategies import make_records


@pytest.fixture(scope="module")
def fleet():
    """Resonant models, which need 8 or 16 bits, white noise between, and one with a moving average."""
    rng = np.random.default_rng(1)
    phi = step_up(resonant(30, rng))
    phi[::5] = 0.0
    p = np.where(phi.any(axis=1), 8, 0)
    theta = np.zeros((30, 1))
    theta[3] = 0.4
    return Fleet.of(
        make_records(30, phi=phi, p=p, theta=theta, q=(theta[:, 0] != 0).astype(int), levels=np.ones((30, 8)))
    )


def test_file_order_is_16_bits_then_8_then_4_and_leaves_moving_averages_out(fleet):
    made = quantize(fleet)
    assert made.bits.tolist() == sorted(made.bits.tolist(), reverse=True)
    assert (made.n16, made.n8, made.n4) == tuple(np.bincount(made.bits, minlength=17)[[16, 8, 4]])
    assert made.n16 > 0
    assert sorted(made.order.tolist()) == [i for i in range(30) if i != 3]
    for bits in (16, 8, 4):
        assert (np.diff(made.order[made.bits == bits]) > 0).all()


def test_every_array_is_that_of_the_series_in_file_order(fleet):
    made = quantize(fleet)
    np.testing.assert_array_equal(made.phi, decode(made.codes, made.scale))
    for at, row in enumerate(made.order):
        assert made.lags_kept[at] == (fleet.phi[row] != 0).sum()
        np.testing.assert_allclose(made.phi[at], fleet.phi[row], rtol=0.01, atol=0.01)
        assert made.max_pole[at] == pytest.approx(oracle.largest_pole(made.phi[at]), rel=1e-6)
        k = np.sin(made.codes[at] * float(made.scale[at]))
        assert made.margin[at] == pytest.approx(1 - np.abs(k).max(), rel=1e-6)
        if fleet.p[row]:
            assert made.rise[at] == pytest.approx(
                oracle.rise(fleet.phi[row], made.phi[at], 24), rel=1e-3, abs=1e-9
            )
    assert made.codes.dtype == np.int16
    assert made.scale.dtype == np.float32


def test_seasonal_factors_have_codes_of_their_own():
    fleet = Fleet.of(
        make_records(2, phi=[0.5, 0.3], seasonal_phi=[0.4], season_length=4, levels=[1.0] * 7, d=1)
    )
    made = quantize(fleet, bits=8, horizon=6)
    np.testing.assert_allclose(made.phi, fleet.phi, atol=2e-3)
    np.testing.assert_allclose(made.seasonal_phi, fleet.seasonal_phi, atol=1e-7)
    assert made.horizon == 6
    assert made.max_pole[0] == pytest.approx(
        oracle.largest_pole(oracle.multiply(made.phi[0], made.seasonal_phi[0], 4))
    )
    assert made.margin[0] == pytest.approx(
        1 - max(abs(made.phi[0, 1]), abs(made.phi[0, 0] / (1 - made.phi[0, 1])), 0.4)
    )


def test_bits_can_be_fixed(fleet):
    for bits in (4, 8, 16):
        assert (quantize(fleet, bits=bits).bits == bits).all()


def test_results_are_read_only(fleet):
    with pytest.raises(ValueError, match="read-only"):
        quantize(fleet, bits=16).codes[0, 0] = 1


@pytest.mark.parametrize(
    "wrong", [{"bits": 6}, {"max_rise": 0.0}, {"max_rise": float("nan")}, {"horizon": 0}]
)
def test_settings_that_make_no_sense_are_refused(fleet, wrong):
    with pytest.raises(ExportError):
        quantize(fleet, **wrong)


def test_a_fleet_of_moving_averages_alone_is_refused():
    with pytest.raises(ExportError, match=r"step\.onnx"):
        quantize(Fleet.of(make_records(1, theta=[0.4])))


def test_a_decoder_that_is_off_is_caught(fleet, monkeypatch):
    monkeypatch.setattr(quantized, "decode", lambda codes, scale: 1.2 * decode(codes, scale))
    with pytest.raises(GateError, match="not stationary"):
        quantize(fleet, bits=16)
