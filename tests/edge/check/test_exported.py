"""The checker on files that the exporter writes."""

import numpy as np
import pytest

from edge.check import OPERATORS, parity, read, stability
from edge.fleet import Fleet
from edge.graph.model import forecast_model
from edge.quantize import quantize
from edge.quantize.polynomial import step_up
from tests.bench.edge_populations import random_ar, resonant
from tests.strategies import make_records


def mixed():
    """Series of all classes: 16, 8 and 4 bits, orders from 0 to 8, half of them seasonal."""
    rng = np.random.default_rng(3)
    k = np.concatenate([resonant(30, rng), random_ar(30, 8, rng)])
    p = np.concatenate([np.full(30, 8), rng.integers(0, 4, 30)])
    k[np.arange(8) >= p[:, None]] = 0.0
    P = np.arange(60) % 2
    seasonal = rng.uniform(0.2, 0.9, (60, 1)) * P[:, None]
    return Fleet.of(
        make_records(
            60,
            phi=step_up(k),
            p=p,
            seasonal_phi=seasonal,
            P=P,
            season_length=12,
            levels=rng.normal(size=(60, 20)),
            const=rng.normal(size=60),
        )
    )


@pytest.fixture(scope="module")
def fleet():
    return mixed()


@pytest.fixture(scope="module")
def coded(fleet):
    made = quantize(fleet, horizon=12)
    assert min(made.n16, made.n8, made.n4) > 0
    return made


@pytest.mark.parametrize("profile", ["size", "balanced"])
def test_what_a_file_decodes_is_what_the_quantiser_says(fleet, coded, profile):
    found = stability(forecast_model(fleet, 12, profile=profile, quantized=coded), fleet.s[coded.order])
    size = 1 + np.abs(coded.phi).max(axis=1, keepdims=True)
    np.testing.assert_allclose(found.phi / size, coded.phi / size, atol=1e-14)
    np.testing.assert_allclose(found.seasonal_phi, coded.seasonal_phi, atol=1e-15)
    assert found.stable.all()
    np.testing.assert_allclose(found.max_pole, coded.max_pole, rtol=1e-6)
    # the step-down of a decoded polynomial is as exact as the polynomial lets it be
    np.testing.assert_allclose(found.margin, coded.margin, rtol=1e-4)


def test_the_latency_form_has_what_the_fleet_has(fleet):
    found = stability(forecast_model(fleet, 12, profile="latency"))
    np.testing.assert_array_equal(found.phi, fleet.phi)
    np.testing.assert_array_equal(found.seasonal_phi, fleet.seasonal_phi)
    assert found.stable.all()


def test_one_series_is_checked_like_many(fleet):
    found = stability(forecast_model(fleet.take(np.array([1])), 12), np.array([12]))
    np.testing.assert_allclose(found.phi[0], fleet.phi[1], rtol=1e-15)
    assert found.stable.tolist() == [True]


@pytest.mark.parametrize("profile", ["size", "balanced", "latency"])
def test_files_keep_to_the_rules(fleet, coded, profile):
    found = read(forecast_model(fleet, 12, (80,), profile=profile, quantized=coded))
    assert set(found.ops) <= OPERATORS
    assert found.outputs == ("mean", "variance", "lo", "hi")


def test_the_forms_agree_with_each_other(fleet, coded):
    inputs = {"index": np.arange(60), "lags": fleet.levels[coded.order]}
    size, balanced = (forecast_model(fleet, 12, profile=p, quantized=coded) for p in ("size", "balanced"))
    import onnxruntime as ort

    mean, variance = ort.InferenceSession(balanced).run(["mean", "variance"], inputs)
    assert max(parity(size, inputs, {"mean": mean, "variance": variance}).values()) < 1e-9
    assert parity(size, inputs, {"mean": mean * (1 + 1e-6)})["mean"] > 9e-7
