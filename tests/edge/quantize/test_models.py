import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.quantize import MAX_RISE, Models, code, decode
from edge.quantize.codec import THETA_LIMIT
from edge.quantize.polynomial import step_up
from forecast.errors import InputError
from tests.bench.edge_populations import near_unit, random_ar, resonant, seasonal_factored
from tests.oracles import edge_quantize as oracle


def mixed(seed=0, n=40):
    """Series of many shapes, integrated and seasonal ones among them."""
    rng = np.random.default_rng(seed)
    p, P = rng.integers(0, 6, n), rng.integers(0, 3, n)
    k = np.where(np.arange(5) < p[:, None], rng.uniform(-0.95, 0.95, (n, 5)), 0.0)
    seasonal = np.where(np.arange(2) < P[:, None], rng.uniform(-0.95, 0.95, (n, 2)), 0.0)
    return Models(k, p, seasonal, P, rng.integers(2, 5, n), rng.integers(0, 3, n), rng.integers(0, 2, n))


def recomputed(models, coded, i, horizon=24):
    s = int(models.s[i])
    p, P = models.p[i], models.P[i]
    true = step_up(models.parcor[i : i + 1, :p])[0], step_up(models.seasonal_parcor[i : i + 1, :P])[0]
    made = (
        oracle.decode(coded.codes[i, :p], coded.scale[i]),
        oracle.decode(coded.seasonal_codes[i, :P], coded.seasonal_scale[i]),
    )
    if p + P == 0:
        return 0.0
    return oracle.rise(
        oracle.multiply(*true, s), oracle.multiply(*made, s), horizon, int(models.d[i]), int(models.D[i]), s
    )


def test_rises_of_every_shape_are_those_of_the_formula_and_within_the_guard():
    models = mixed()
    coded = code(models)
    for i in range(40):
        assert coded.rise[i] == pytest.approx(recomputed(models, coded, i), rel=1e-4, abs=1e-10)
    assert (coded.rise <= MAX_RISE).all()
    assert {4, 8} <= set(coded.bits.tolist())


def test_codes_keep_to_their_bits_and_orders():
    models = mixed(1)
    coded = code(models)
    for codes, scale, order in (
        (coded.codes, coded.scale, models.p), (coded.seasonal_codes, coded.seasonal_scale, models.P)
    ):  # fmt: skip
        most = np.array([{4: 7, 8: 127, 16: 32_639}[b] for b in coded.bits.tolist()])
        assert (np.abs(codes) <= most[:, None]).all()
        assert (np.abs(codes * scale[:, None].astype(float)) <= THETA_LIMIT).all()
        assert not codes[np.arange(codes.shape[1]) >= order[:, None]].any()


def test_the_fewest_bits_that_pass_are_taken():
    models = Models.plain(resonant(60, np.random.default_rng(2)))
    coded = code(models)
    assert {8, 16} <= set(coded.bits.tolist())
    at_8 = code(models, (8,))
    np.testing.assert_array_equal(coded.bits == 16, at_8.rise > MAX_RISE)
    np.testing.assert_array_equal(coded.codes[coded.bits == 8], at_8.codes[coded.bits == 8])


def test_even_poles_nearer_to_the_circle_than_records_may_have_pass_the_guard():
    k = [
        0.18602433, -0.99899315, 0.79987106, -0.72122601, -0.28542047, -0.61053541, -0.44753826, 0.37390464,
        0.2341154, -0.0367985, -0.07099932, 0.50012873, 0.24824053, 0.00225935, 0.31182294, -0.10505142,
        0.09061551, -0.46284241, -0.27479305, -0.16556894, -0.13796736, 0.19988248, 0.03027096, -0.16746573,
    ]  # fmt: skip
    coded = code(Models.plain(np.array([k])))
    assert oracle.largest_pole(step_up(np.array([k]))[0]) > 0.99999
    assert coded.bits[0] == 16
    assert coded.rise[0] <= MAX_RISE


def test_short_models_mostly_need_four_bits():
    coded = code(Models.plain(random_ar(100, 3, np.random.default_rng(8))))
    assert (coded.bits == 4).mean() > 0.8


def test_a_looser_guard_takes_fewer_bits_and_a_tighter_one_more():
    models = Models.plain(random_ar(40, 8, np.random.default_rng(3)))
    bits = [code(models, max_rise=guard).bits.sum() for guard in (1e-1, 1e-3, 1e-5, 1e-7)]
    assert bits == sorted(bits)
    assert bits[0] < bits[-1]


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_nothing_becomes_unstable_at_any_number_of_bits(bits):
    rng = np.random.default_rng(4)
    k = np.concatenate([near_unit(20, 24, rng), random_ar(20, 24, rng), 0 * random_ar(1, 24, rng)])
    coded = code(Models.plain(k), (bits,))
    assert (coded.bits == bits).all()
    phi = decode(coded.codes, coded.scale)
    assert max(oracle.largest_pole(row) for row in phi) < 1.0


def test_results_do_not_depend_on_company():
    models = mixed(5)
    coded = code(models)
    alone = code(Models(*(getattr(models, name)[7:8] for name in Models.__slots__)))
    np.testing.assert_array_equal(alone.codes, coded.codes[7:8])
    assert alone.scale == coded.scale[7]


def test_progress_ends_at_all_series_and_never_goes_back():
    seen = []
    models = seasonal_factored(50, np.random.default_rng(6))
    code(models, progress=lambda done, n: seen.append((done, n)))
    counts = [done for done, _ in seen]
    assert counts == sorted(counts)
    assert counts[-1] == 50
    assert {n for _, n in seen} == {50}


def test_series_without_coefficients_cost_nothing():
    coded = code(Models.plain(np.zeros((3, 0))))
    assert not coded.rise.any()
    assert not coded.scale.any()
    flat = code(Models.plain(np.zeros((2, 4))))
    assert not flat.codes.any()
    assert not flat.rise.any()


@pytest.mark.parametrize("bad", [1.0, -1.5, np.nan])
def test_a_model_that_is_not_stationary_is_refused(bad):
    with pytest.raises(InputError, match="series 1"):
        Models.plain(np.array([[0.1, 0.2], [0.3, bad]]))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(-(1 - 1e-6), 1 - 1e-6), min_size=1, max_size=5),
    st.sampled_from([(4,), (8,), (16,), (4, 8, 16)]),
)
def test_any_model_is_stored_stably(k, ladder):
    coded = code(Models.plain(np.array([k])), ladder)
    assert oracle.largest_pole(decode(coded.codes, coded.scale)[0]) < 1.0
    assert coded.rise[0] >= 0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-0.999, 0.999), min_size=1, max_size=6))
def test_the_guard_is_kept_or_the_most_bits_were_used(k):
    coded = code(Models.plain(np.array([k])))
    assert coded.rise[0] <= MAX_RISE or coded.bits[0] == 16
    assert coded.rise[0] <= 1e-3
