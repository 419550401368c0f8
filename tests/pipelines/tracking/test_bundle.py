"""A bundle in MLflow: a child run, with graphs that MLflow's ONNX flavour loads."""

from __future__ import annotations

from dataclasses import replace

import pytest

import forecast as fc
from forecast.errors import InputError
from pipelines.errors import TrackingError
from pipelines.tracking import BundleSummary, log_bundle, log_job, runs
from tests.pipelines.tracking.conftest import long_frame

pytestmark = [pytest.mark.slow, pytest.mark.ops]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    from edge.fleet import Fleet
    from edge.graph.step import step_model

    folder = tmp_path_factory.mktemp("bundle")
    fitted = fc.fit(long_frame(5), model=fc.AR(2), freq="MS", n_jobs=1)
    (folder / "step.onnx").write_bytes(step_model(Fleet.of(fitted.records[0]), 3))
    (folder / "manifest.json").write_text("{}")
    return BundleSummary(
        fleet="shop", name="shop", bundle_version=3, digest="ab" * 32, version="cd" * 32, run_id=None,
        models={"step": str(folder / "step.onnx")}, documents=(str(folder / "manifest.json"),),
        params={"profile": "balanced", "horizon": 3}, metrics={"n_series": 5, "max_pole": 0.9}, key_id=None,
    )  # fmt: skip


def test_a_bundle_is_a_child_of_the_run_that_trained_it(job, bundle, uri, ask):
    fleet = "bundled"
    parent = log_job(replace(job, fleet=fleet), uri).run_id
    run_id = log_bundle(replace(bundle, fleet=fleet, run_id=parent), uri)
    found = ask(
        uri,
        f"""
run = client.get_run("{run_id}")
import mlflow.onnx
loaded = mlflow.onnx.load_model("runs:/{run_id}/step")
served = mlflow.pyfunc.load_model("runs:/{run_id}/step")
import numpy as np
n = 5
feeds = {{"index": np.arange(n), "y": np.zeros(n), "state": np.zeros((n, 2)), "cov": np.zeros((n, 2, 2))}}
said = served.predict(feeds)
found = [run.data.tags["mlflow.parentRunId"], run.info.status, run.data.params["profile"],
         run.data.metrics["max_pole"], [i.name for i in loaded.graph.input],
         sorted(a.path for a in client.list_artifacts("{run_id}")), list(np.shape(said["mean"]))]
""",
    )
    inputs, files = ["index", "y", "state", "cov"], ["manifest.json", "step"]
    assert set(found[4]) == set(inputs)
    assert found[:4] + found[5:] == [parent, "FINISHED", "balanced", 0.9, files, [5, 3]]
    assert list(runs(uri, fleet)["job_id"]) == [job.job_id]  # a bundle is no job


def test_the_same_bundle_is_logged_once_and_another_beside_it(bundle, uri):
    fleet = "twice"
    once = log_bundle(replace(bundle, fleet=fleet), uri)
    assert log_bundle(replace(bundle, fleet=fleet), uri) == once
    assert log_bundle(replace(bundle, fleet=fleet, digest="ef" * 32), uri) != once


def test_a_training_run_that_is_gone_is_no_reason_to_fail(bundle, uri, ask):
    run_id = log_bundle(replace(bundle, fleet="orphan", run_id="0" * 32), uri)
    assert ask(uri, f'found = "mlflow.parentRunId" in client.get_run("{run_id}").data.tags') is False


def test_what_cannot_be_logged_is_said(bundle, tmp_path):
    with pytest.raises(InputError, match="at least one model"):
        log_bundle(replace(bundle, models={}), f"sqlite:///{tmp_path}/m.db")
    with pytest.raises(InputError, match="fleet must be"):
        log_bundle(replace(bundle, fleet="a'b"), f"sqlite:///{tmp_path}/m.db")
    with pytest.raises(TrackingError):
        log_bundle(bundle, "http://127.0.0.1:9", timeout_s=20)
    gone = replace(bundle, models={"step": str(tmp_path / "gone.onnx")})
    with pytest.raises(TrackingError, match=r"gone\.onnx"):
        log_bundle(gone, f"sqlite:///{tmp_path}/m.db", timeout_s=60)


def test_both_graphs_are_served_as_the_runtime_does_and_name_their_tensors(bundle, uri, ask, tmp_path):
    from edge.fleet import Fleet
    from edge.graph.model import forecast_model

    fitted = fc.fit(long_frame(5), model=fc.AR(2), freq="MS", n_jobs=1)
    (tmp_path / "model.onnx").write_bytes(forecast_model(Fleet.of(fitted.records[0]), 3, (80,)))
    models = {**bundle.models, "model": str(tmp_path / "model.onnx")}
    run_id = log_bundle(replace(bundle, fleet="both", models=models), uri)
    said = ask(
        uri,
        f"""
import mlflow.onnx, numpy as np, onnxruntime
graph = mlflow.onnx.load_model("runs:/{run_id}/model")
served = mlflow.pyfunc.load_model("runs:/{run_id}/model")
feeds = {{"index": np.arange(5), "lags": np.arange(10.0).reshape(5, 2)}}
session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
straight = dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds)))
through = served.predict(feeds)
same = all(np.array_equal(straight[name], through[name]) for name in straight)
try:
    served.predict({{"index": np.arange(5)}})
    refused = "nothing"
except Exception as error:
    refused = str(error)
signature = served.metadata.signature
step = mlflow.pyfunc.load_model("runs:/{run_id}/step").metadata.signature
found = [same, sorted(through), signature.inputs.input_names(), sorted(signature.outputs.input_names()),
         "lags" in refused, sorted(step.inputs.input_names())]
""",
    )
    outputs = ["hi", "lo", "mean", "variance"]
    assert said == [True, outputs, ["index", "lags"], outputs, True, ["cov", "index", "state", "y"]]
