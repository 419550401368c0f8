"""`edge.export`: any fitted model becomes a bundle that a device takes, or nothing is written."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import edge
import forecast as fc
from edge.bundle import graphs
from edge.bundle.keys import new_key, trusted_keys
from edge.c99 import emit
from edge.check import stability
from edge.errors import BundleExistsError, ExportError, GateError, GraphError, KeyFileError
from edge.runtime.bundle import Bundle
from edge.runtime.keys import read_keys
from edge.runtime.parity import self_test
from edge.runtime.verify import verify
from forecast.errors import InputError
from forecast.models.records import Transform

pytestmark = pytest.mark.slow

H = 6
KEY = new_key()
KEYS = read_keys(trusted_keys(KEY.public))


def frame(n=4, t=90, freq="MS", seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = 40 + rng.normal(size=(n, t)).cumsum(axis=1) + 3 * np.sin(np.arange(t) * 2 * np.pi / 12)
    df = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{i}" for i in range(n)], t),
            "ds": np.tile(pd.date_range("2015-01-01", periods=t, freq=freq), n),
            "y": y.ravel(),
            "price": rng.normal(size=n * t),
        }
    )
    df.loc[t - 1, "y"] = np.nan  # the first series ends with a gap
    return df


MODELS = {
    "AR": fc.AR(3),
    "trend": fc.AR(2, trend="ct", alias="trend"),
    "seasons": fc.AR(2, fourier={12: 2}, calendar=["month"], alias="seasons"),
    "ARX": fc.ARX(2, exog_lags={"price": [0, 2]}),
    "SAR": fc.ARIMA((2, 1, 0), seasonal_order=(1, 1, 0), season_length=12, alias="SAR"),
    "ARIMA": fc.ARIMA((1, 1, 1), seasonal_order=(0, 1, 1), season_length=12),
    "ARIMAX": fc.ARIMA((1, 0, 0), alias="ARIMAX"),
    "Naive": fc.Naive(),
    "SeasonalNaive": fc.SeasonalNaive(12),
    "Drift": fc.Drift(),
    "AutoAR": fc.AutoAR(season_length=12),
    "AutoARIMA": fc.AutoARIMA(season_length=12),
}
PROFILES = ("balanced", "size", "latency")


@pytest.fixture(scope="module")
def fitted():
    return fc.fit(frame(), list(MODELS.values()), freq="MS", exog=["price"], n_jobs=1)


@pytest.fixture(scope="module")
def plain():
    return fc.fit(frame().drop(columns="price"), fc.AR(3), freq="MS", n_jobs=1)


def answers(path):
    with verify(path, KEYS) as found:
        found.check_all()
        return {one.model: one for one in self_test(found)}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("model", list(MODELS))
def test_every_model_in_every_profile_is_taken_by_a_device(fitted, tmp_path, model, profile):
    done = edge.export(
        fitted, tmp_path / "b", horizon=H, sign_key=KEY, model=model, profile=profile, level=(50, 95)
    )
    for path in (done.path, done.archive):
        found = answers(path)
        assert all(one.error <= one.rtol for one in found.values())
    assert done.parity_err <= 1e-6
    report = done.report.set_index("unique_id")
    assert list(report.index) == ["s0", "s1", "s2", "s3"]
    assert (report["status"] != "left out").all()
    assert (report["margin"] > 0).all()
    assert (report["max_pole_after"] < 1).all()
    assert (report["rmse_rise"] <= 2e-4).all()
    assert ("model.onnx" in found) == (report["status"] == "exported").any()
    if profile == "latency":
        np.testing.assert_allclose(report["max_pole_after"], report["max_pole_before"], atol=1e-7)


@pytest.mark.parametrize("model", ["AR", "trend", "seasons", "SAR", "ARIMA", "Drift"])
def test_the_device_forecasts_what_predict_says(fitted, tmp_path, model):
    done = edge.export(fitted, tmp_path / "b", horizon=H, sign_key=KEY, model=model, profile="size")
    future = (
        frame()
        .groupby("unique_id")
        .tail(1)[["unique_id"]]
        .merge(
            pd.DataFrame({"ds": pd.date_range("2022-07-01", periods=H, freq="MS"), "price": 0.0}), how="cross"
        )
    )
    whole = fitted.predict(H, X_df=future).set_index("unique_id")[model]
    with Bundle.open(done.archive, keys=KEYS) as bundle:
        for name in ("s0", "s1", "s2", "s3"):
            extra = {"price": [0.0] * H} if any(c.name == "price" for c in bundle.schema.exog) else None
            got = bundle.forecast(name, X=extra)
            np.testing.assert_allclose(got.mean, whole.loc[name], rtol=1e-8)


def test_a_single_series_is_a_small_file(tmp_path):
    one = fc.fit(frame(1).dropna().drop(columns="price"), fc.AR(24), freq="MS", n_jobs=1)
    done = edge.export(one, tmp_path / "b", horizon=24, sign_key=KEY)
    assert (done.path / "model.onnx").stat().st_size <= 2600
    assert list(done.report["bits"]) == [64]


def test_one_absurd_series_is_left_to_the_step(tmp_path):
    """Under a log transform the ends of a band are e to the 60th apart: float32 of its variance is seen."""
    fitted = fc.fit(frame(), fc.AR(3), freq="MS")
    given = fitted.records[0]
    transform, sigma2, levels, const = (
        x.copy() for x in (given.transform, given.sigma2, given.levels, given.const)
    )
    transform[2], sigma2[2], levels[2], const[2] = Transform.LOG, 901.3712345, 1.0, 0.01
    absurd = replace(given, transform=transform, sigma2=sigma2, levels=levels, const=const)
    done = edge.export(replace(fitted, records=(absurd,)), tmp_path / "b", horizon=H, sign_key=KEY)
    assert done.report["status"].tolist() == ["exported", "exported", "step only", "exported"]
    assert "intervals span so many decades" in done.report["reason"][2]
    with Bundle.open(tmp_path / "b", keys=KEYS) as bundle:
        assert all(np.isfinite(bundle.forecast(name).mean).all() for name in bundle.series)


@pytest.mark.parametrize("profile", ["balanced", "latency"])
def test_the_c_example_has_the_coefficients_of_the_file(tmp_path, profile):
    fitted = fc.fit(frame(), fc.AR(3), freq="MS")
    edge.export(fitted, tmp_path / "b", horizon=H, profile=profile, sign_key=KEY)
    fleet = edge.Fleet.of(fitted.records[0])
    phi = stability((tmp_path / "b" / "model.onnx").read_bytes()).phi
    schema = json.loads((tmp_path / "b" / "schema.json").read_text())
    assert schema["series"] == fleet.ids
    want = emit(fleet, list(range(fleet.n)), H, phi=phi[schema["closed"]])
    assert (tmp_path / "b" / "examples" / "c" / "model.h").read_text() == want
    assert (want == emit(fleet, list(range(fleet.n)), H)) == (profile == "latency")


def test_equal_orders_are_equal_bytes(plain, tmp_path):
    one, two = (
        edge.export(plain, tmp_path / name, horizon=H, sign_key=KEY, name="shop", created_ts_ms=1)
        for name in ("a", "b")
    )
    assert one.digest == two.digest
    assert one.archive.read_bytes() == two.archive.read_bytes()


def test_what_cannot_be_exported_is_listed_and_left_out(tmp_path):
    df = frame(3).drop(columns="price")
    empty = df["unique_id"] == "s1"
    df.loc[empty, "y"] = np.nan
    fitted = fc.fit(df, fc.AR(2), freq="MS", n_jobs=1)
    done = edge.export(fitted, tmp_path / "b", horizon=H, sign_key=KEY)
    report = done.report.set_index("unique_id")
    assert report.loc["s1", ["status", "reason"]].tolist() == [
        "left out", "no level to forecast from: it has no values",
    ]  # fmt: skip
    with Bundle.open(done.path, keys=KEYS) as bundle:
        assert bundle.series == ("s0", "s2")
        assert bundle.manifest.n_series == 2
    listed = json.loads((done.path / "parity_report.json").read_text())
    assert [row["id"] for row in listed["series"]] == ["s0", "s2"]
    only = fc.fit(df[empty], fc.AR(2), freq="MS", n_jobs=1)
    with pytest.raises(ExportError, match="none of 1 series can be exported; 's1': no level"):
        edge.export(only, tmp_path / "c", horizon=H, sign_key=KEY)
    assert not (tmp_path / "c").exists()


def test_ids_that_no_tick_can_name_are_left_out(tmp_path):
    df = frame(4).drop(columns="price")
    df["unique_id"] = df["unique_id"].map({"s0": "x" * 257, "s1": "a\0b", "s2": "", "s3": "x" * 256})
    done = edge.export(fc.fit(df, fc.AR(2), freq="MS", n_jobs=1), tmp_path / "b", horizon=H, sign_key=KEY)
    assert (done.report["status"] == "left out").tolist() == [True, True, True, False]
    assert done.report["reason"].str.contains("1 to 256 characters").sum() == 3


@pytest.mark.parametrize("prune", ["parcor", "lags"])
def test_pruned_models_are_told_and_tested(tmp_path, prune):
    rng = np.random.default_rng(3)
    y = np.zeros((3, 400))
    e = rng.normal(size=y.shape)
    for k in range(400):
        y[:, k] = e[:, k] + (0.6 * y[:, k - 1] + 0.3 * y[:, k - 12] if k >= 12 else 0)
    days = pd.date_range("2020-01-01", periods=400, freq="D")
    df = pd.DataFrame({"unique_id": np.repeat(list("abc"), 400), "ds": np.tile(days, 3), "y": y.ravel()})
    fitted = fc.fit(df, fc.AR(14), freq="D", n_jobs=1)
    done = edge.export(fitted, tmp_path / "b", horizon=H, sign_key=KEY, prune=prune)
    assert (done.report["lags_kept"] < done.report["lags_before"]).all()
    answers(done.path)
    fitted.save(tmp_path / "stored")
    stored = fc.load(tmp_path / "stored")
    if prune == "lags":
        with pytest.raises(ExportError, match="data="):
            edge.export(stored, tmp_path / "c", horizon=H, sign_key=KEY, prune=prune)
    again = edge.export(stored, tmp_path / "c", horizon=H, sign_key=KEY, prune=prune, data=df)
    pd.testing.assert_frame_equal(again.report, done.report)


def test_unsigned_bundles_are_asked_for_and_refused_by_devices(plain, tmp_path):
    with pytest.raises(ExportError, match="needs a key"):
        edge.export(plain, tmp_path / "b", horizon=H)
    with pytest.raises(ExportError, match="exclude each other"):
        edge.export(plain, tmp_path / "b", horizon=H, sign_key=KEY, unsigned=True)
    done = edge.export(plain, tmp_path / "b", horizon=H, unsigned=True)
    assert done.key_id is None
    for path in (done.path, done.archive):
        with pytest.raises(Exception, match=r"manifest\.sig|sign"):
            verify(path, KEYS)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"horizon": 0}, ExportError, "horizon must be"),
        ({"horizon": 10_001}, ExportError, "horizon must be"),
        ({"horizon": 2.5}, ExportError, "whole number"),
        ({"horizon": True}, ExportError, "whole number"),
        ({"level": (0,)}, InputError, "between 0 and 100"),
        ({"level": tuple(range(1, 40))}, ExportError, "at most 32 levels"),
        ({"profile": "fast"}, ExportError, "'fast' is unknown"),
        ({"prune": "all"}, ExportError, "'all' is unknown"),
        ({"model": "ARR"}, ExportError, "did you mean 'AR'"),
        ({"name": ""}, ExportError, "name must be"),
        ({"name": "../x"}, ExportError, "name must be"),
        ({"name": "a b"}, ExportError, "name must be"),
        ({"bundle_version": 0}, ExportError, "bundle_version must be"),
        ({"bundle_version": "1"}, ExportError, "whole number"),
        ({"sign_key": "none.pem"}, KeyFileError, "No such file"),
    ],
)
def test_arguments_are_judged_before_any_work(plain, tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        edge.export(plain, tmp_path / "b", **{"horizon": H, "sign_key": KEY} | change)
    assert list(tmp_path.iterdir()) == []


def test_several_models_have_to_be_told_apart(fitted, tmp_path):
    with pytest.raises(ExportError, match="several models, say which one"):
        edge.export(fitted, tmp_path / "b", horizon=H, sign_key=KEY)


def test_a_bundle_is_overwritten_when_asked(plain, tmp_path):
    one = edge.export(plain, tmp_path / "b", horizon=H, sign_key=KEY)
    with pytest.raises(BundleExistsError):
        edge.export(plain, tmp_path / "b", horizon=H, sign_key=KEY)
    two = edge.export(plain, tmp_path / "b", horizon=H, sign_key=KEY, bundle_version=2, overwrite=True)
    assert one.digest != two.digest
    with Bundle.open(two.archive, keys=KEYS) as bundle:
        assert bundle.manifest.bundle_version == 2
    assert edge.export(plain, tmp_path / "c", horizon=H, sign_key=KEY, archive=False).archive is None
    assert not (tmp_path / "c.edge.zip").exists()


def wrong_mean(data, *_args, **_kwargs):
    import onnx

    model = onnx.load_from_string(data)
    (last,) = [node for node in model.graph.node if "mean" in node.output]
    twice = onnx.helper.make_node("Add", [last.output[0] + "_", last.output[0] + "_"], ["mean"])
    last.output[0] += "_"
    model.graph.node.append(twice)
    return model.SerializeToString()


def foreign_operator(data):
    import onnx

    model = onnx.load_from_string(data)
    (last,) = [node for node in model.graph.node if "mean" in node.output]
    last.output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("Round", ["before"], ["mean"]))
    return model.SerializeToString()


@pytest.mark.parametrize("fault", [wrong_mean, foreign_operator])
@pytest.mark.parametrize("which", ["forecast_model", "step_model"])
def test_a_faulty_file_is_never_signed(plain, tmp_path, monkeypatch, fault, which):
    honest = getattr(graphs, which)
    monkeypatch.setattr(graphs, which, lambda *args: fault(honest(*args)))
    with pytest.raises(GateError):
        edge.export(plain, tmp_path / "b", horizon=H, sign_key=KEY)
    assert list(tmp_path.iterdir()) == []


def test_an_unstable_series_is_never_signed(plain, tmp_path, monkeypatch):
    import onnx
    from onnx import numpy_helper

    honest = graphs.forecast_model

    def outside(*args):
        model = onnx.load_from_string(honest(*args))
        for tensor in model.graph.initializer:
            if tensor.name == "phi":
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 0 + 1.01, "phi"))
        return model.SerializeToString()

    monkeypatch.setattr(graphs, "forecast_model", outside)
    with pytest.raises(GateError, match="not stationary as the file decodes them"):
        edge.export(plain, tmp_path / "b", horizon=H, sign_key=KEY, profile="latency")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_to_the_end(plain, tmp_path):
    told = []
    edge.export(plain, tmp_path / "b", horizon=H, sign_key=KEY, progress=lambda *step: told.append(step))
    last = {stage: (done, total) for stage, done, total in told}
    assert {"graph", "quantize", "check", "write"} <= set(last)
    assert all(done == total for done, total in last.values())


def test_importing_edge_costs_nothing():
    probe = "import edge, sys; dir(edge); print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not {"numpy", "onnx", "onnxruntime", "cryptography", "pandas"} & set(done.stdout.split())


def test_the_device_side_is_there_after_importing_edge_alone():
    probe = "import edge; print(edge.runtime.Bundle is edge.Bundle)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_public_names_are_there():
    for name in edge.__all__:
        assert getattr(edge, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'exprot'"):
        _ = edge.exprot
    assert issubclass(GraphError, edge.EdgeError)
