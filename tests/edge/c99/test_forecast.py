import numpy as np
import pytest

from edge.c99 import emit, example
from edge.c99.equations import equations
from edge.c99.fixedpoint import fixed_point
from edge.fleet import Fleet
from forecast.models.forecasting import forecast
from forecast.models.records import ExogTerm
from tests.edge.c99.cases import limit_of, random_fleet, values_of
from tests.edge.c99.compiler import Programs, build, run
from tests.oracles.edge_c99 import Series
from tests.strategies import make_records

H = 7


def requests(records, fleet, header_past, rng, n_lags):
    """Rows of numbers for the program, and what the oracle says to each."""
    rows, want = [], []
    for i in range(fleet.n):
        one = Series(records, i, fleet.names)
        lags = values_of(records, i, rng.normal(size=n_lags) * (0.3 if records.transform[i] else 2.0))
        t = int(records.nobs[i])
        x = rng.normal(size=(header_past + H, len(fleet.names)))
        row = [i] if fleet.n > 1 else []
        row += [t] if fleet.needs_t else []
        rows.append([*row, *lags.tolist(), *x.ravel().tolist()])
        want.append(one.forecast(lags, t, x, header_past, H))
    return rows, np.array(want)


def assert_close(got, want, programs, kind, fleet, rows):
    _, size = limit_of(fleet, rows, H)
    share = programs.define(f"TOLERANCE_{kind}")
    scale = np.where(fleet.log[rows, None], np.abs(want), size[:, None])
    # The oracle's own rounding.
    slack = 1e-12 * (1.0 + np.abs(want))
    assert (np.abs(got - want) <= share * scale + slack).all(), (np.abs(got - want) / scale).max() / share


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_means_and_variances_are_those_of_the_definitions(tmp_path, seed):
    records, fleet = random_fleet(seed)
    programs = Programs(tmp_path, fleet, range(fleet.n), H)
    past, n_lags = int(programs.define("PAST")), int(programs.define("LAGS"))
    rows, want = requests(records, fleet, past, np.random.default_rng(seed), n_lags)
    variance = np.array([Series(records, i, fleet.names).variance(H) for i in range(fleet.n)])
    for kind in programs.programs:
        got, spread = programs.run(kind, "forecast", rows)
        assert_close(got, want, programs, kind, fleet, np.arange(fleet.n))
        np.testing.assert_allclose(spread, variance, rtol=1e-6 if kind == "FLOAT" else 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_fixed_point_stays_within_what_it_promises(tmp_path, seed):
    records, fleet = random_fleet(seed, exog=False, log=False)
    programs = Programs(tmp_path, fleet, range(fleet.n), H)
    n_lags, rng = int(programs.define("LAGS")), np.random.default_rng(seed)
    edge, _ = limit_of(fleet, range(fleet.n), H)
    for size in (0.01, 1.0, 4.0, None):
        rows, want = [], []
        for i in range(fleet.n):
            # None: as far out as the promise goes; nothing may saturate there.
            w = rng.normal(size=n_lags) * size if size else rng.choice([-0.999, 0.999], n_lags) * edge[i]
            lags = values_of(records, i, w)
            t = int(records.nobs[i])
            rows.append([i, *([t] if fleet.needs_t else []), *lags.tolist()])
            want.append(Series(records, i, fleet.names).forecast(lags, t, None, 0, H))
        got, _ = programs.run("DOUBLE", "fixed", rows)
        _, limit = limit_of(fleet, range(fleet.n), H)
        error = np.abs(got - np.array(want)) / limit[:, None]
        assert error.max() <= programs.define("TOLERANCE_Q")
        assert error.max() > programs.define("TOLERANCE_Q") / 1e4  # the promise is not an empty one


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"phi": [0.5, 0.2], "const": 3.0, "levels": [10.0, 9.0]},
        {"phi": [], "levels": [4.0]},
        {"phi": [], "const": 5.0, "levels": [4.0]},
        {"phi": [0.5], "d": 1, "levels": [1e5, 1e5 - 1.0], "const": 0.1},
        {"phi": [0.5], "d": 2, "levels": [10.0, 9.0, 8.0]},
        {"phi": [0.3], "D": 1, "season_length": 12, "levels": np.arange(13.0)},
        {"phi": [0.5], "seasonal_phi": [0.4], "season_length": 24, "levels": np.arange(25.0)},
        {"phi": [0.5], "transform": 1, "scale": 4.0, "levels": [2.0]},
        {"phi": [0.5], "slope": 0.25, "form": 1, "levels": [1.0]},
        {"phi": [0.5], "seasonal": [1.0, -1.0, 0.5, 2.0], "season_length": 4, "levels": [1.0]},
        {"phi": [0.5], "sigma2": np.nan, "status": 18, "levels": [1.0]},
    ],
    ids=lambda fields: "-".join(k if k != "phi" else f"ar{len(v)}" for k, v in fields.items()),
)  # fmt: skip
def test_one_series_of_each_kind_forecasts_like_the_library(tmp_path, fields):
    records = make_records(1, **fields)
    fleet = Fleet.of(records)
    programs = Programs(tmp_path, fleet, 0, H)
    levels = records.levels[0]
    if records.form[0] == 1:
        levels = levels + records.slope[0] * (records.nobs[0] - np.arange(len(levels))) + records.const[0]
    lags = values_of(records, 0, levels)
    row = [[*([int(records.nobs[0])] if fleet.needs_t else []), *lags.tolist()]]
    want = forecast(records, H)
    modes = ["forecast"] + (["fixed"] if "forecast_q" in programs.header else [])
    assert ("fixed" in modes) == (fields.get("transform", 0) == 0)
    for kind in programs.programs:
        for mode in modes:
            got, variance = programs.run(kind, mode, row)
            share = programs.define(f"TOLERANCE_{kind}")
            share += programs.define("TOLERANCE_Q") if mode == "fixed" else 0.0
            _, size = limit_of(fleet, [0], H)
            bound = share * (np.abs(want.mean) if fleet.log[0] else size) + 1e-13 * np.abs(want.mean)
            assert (np.abs(got - want.mean) <= bound).all()
            assert np.isnan(variance).all() == np.isnan(records.sigma2[0])


@pytest.mark.slow
def test_decoded_coefficients_take_the_place_of_the_fleet_s(tmp_path):
    records = make_records(2, phi=[0.5, 0.2], const=3.0, levels=[10.0, 9.0])
    fleet = Fleet.of(records)
    phi = np.array([[9.0, 9.0], [0.4, 0.1]])  # row 0 is not asked for
    programs = Programs(tmp_path, fleet, 1, 2, phi=phi)
    got, variance = programs.run("DOUBLE", "forecast", [[11.0, 9.0]])
    mean = 3.0 / 0.3  # that of the record is kept
    first = mean + 0.4 * (11.0 - mean) + 0.1 * (9.0 - mean)
    second = mean + 0.4 * (first - mean) + 0.1 * (11.0 - mean)
    np.testing.assert_allclose(got[0], [first, second], rtol=1e-14)
    np.testing.assert_allclose(variance[0], [1.0, 1.16], rtol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["single", "size"])
def test_the_answer_is_that_of_the_onnx_model(tmp_path, profile):
    ort = pytest.importorskip("onnxruntime")
    from edge.graph.model import forecast_model
    from edge.quantize import quantize

    n = 1 if profile == "single" else 6
    rng = np.random.default_rng(2)
    phi = np.array([0.5, 0.2, -0.1, 0.05])
    records = make_records(n, phi=phi, const=rng.normal(size=n) * 5, levels=[1.0] * 4, sigma2=0.5)
    fleet = Fleet.of(records)
    coefficients, order = {}, np.arange(n)
    if n > 1:
        made = quantize(fleet, horizon=H)
        model, order = forecast_model(fleet, H, profile="size", quantized=made), made.order
        decoded = np.zeros((n, made.phi.shape[1]))
        decoded[order] = made.phi
        coefficients = {"phi": decoded}
    else:
        model = forecast_model(fleet, H)
    lags = rng.normal(size=(n, 4)) * 3.0
    feed = {"lags": lags[order]}
    if n > 1:
        feed["index"] = np.arange(n)
    session = ort.InferenceSession(model)
    mean, variance = session.run(["mean", "variance"], feed)
    programs = Programs(tmp_path, fleet, range(n) if n > 1 else 0, H, **coefficients)
    rows = [[*([i] if n > 1 else []), *lags[i].tolist()] for i in range(n)]
    _, size = limit_of(fleet, range(n), H)
    for kind in programs.programs:
        for mode in ("forecast", "fixed"):
            got, spread = programs.run(kind, mode, rows)
            share = programs.define(f"TOLERANCE_{kind}")
            share += programs.define("TOLERANCE_Q") if mode == "fixed" else 0.0
            # Fleets keep a mean in as many bytes as 1e-7 of a forecast asks for, the variance in float32.
            slack = 1e-7 * (1.0 + np.abs(mean)) if n > 1 else 1e-12
            assert (np.abs(got[order] - mean) <= share * size[order, None] + slack).all()
            np.testing.assert_allclose(spread[order], variance, rtol=1e-6)


@pytest.mark.slow
def test_missing_numbers_are_refused_and_saturation_is_not_undefined(tmp_path):
    import subprocess

    fleet = Fleet.of(make_records(2, phi=[0.9, 0.05], const=1.0, levels=[5.0, 4.0]))
    programs = Programs(tmp_path, fleet, [0, 1], H)
    for text in ("0 nan 1", "0 inf 1", "2 1 1", "-1 1 1", "0 1"):
        done = subprocess.run(
            [str(programs.programs["FLOAT"]), "forecast"], input=text, text=True,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stdout == ""
    got, _ = programs.run("DOUBLE", "fixed", [[0, 1e30, -1e30], [1, -1e30, -1e30], [0, -1e30, 1e30]])
    bits = fixed_point(equations(fleet, np.array([0, 1]), H)).data_bits
    assert np.abs(got).max() <= 2.0**31 * 2.0 ** -bits.min()


@pytest.mark.slow
def test_a_value_beyond_float_needs_double(tmp_path):
    fleet = Fleet.of(make_records(1, phi=[0.5], scale=2.0**300, levels=[5.0]))
    header = emit(fleet, 0, H)
    assert "#error" in header
    program = build(tmp_path, header, example(fleet, 0, H))  # the example asks for double by itself
    got = run(program, "forecast", [[2.0**302]])[0, :H]
    np.testing.assert_allclose(got, 2.0**302 * 0.5 ** np.arange(1, H + 1), rtol=1e-13)


@pytest.mark.slow
def test_a_regressor_without_coefficient_may_be_missing(tmp_path):
    terms = (ExogTerm("a", 0), ExogTerm("b", 1))
    records = make_records(
        2, phi=[0.5], levels=[1.0], exog=terms, beta=np.array([[2.0, 0.0], [0.0, 3.0]]),
        exog_tail=np.zeros((2, 1, 1)),
    )  # fmt: skip
    fleet = Fleet.of(records)
    program = build(tmp_path, emit(fleet, [0, 1], 1), example(fleet, [0, 1], 1))
    nan = np.nan
    got = run(program, "forecast", [[0, 4.0, nan, nan, 1.0, nan], [1, 4.0, nan, 1.0, nan, nan]])[:, 0]
    assert got.tolist() == [4.0, 5.0]  # 0.5 * 4 + 2 * 1, 0.5 * 4 + 3 * 1
