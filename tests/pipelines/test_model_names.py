"""Versions by name: whole ones, and overlays that hold only what changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import forecast as fc
from forecast.errors import ArtifactError, InputError
from forecast.models import version
from forecast.models.spec import describe
from pipelines.cli import main
from pipelines.errors import StoreError
from pipelines.model_names import load_model
from pipelines.store import open_store
from tests.pipelines.train.conftest import sales


def call(*words):
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.fixture
def line(tmp_path, monkeypatch):
    """A fleet of six series, a version that changes two of them, one that changes one of these again."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "models" / "sales"
    fits = [fc.fit(sales(), fc.AR(lags=2), "MS")]
    fits += [
        fc.fit(sales().query(f"unique_id in {ids}"), fc.AR(lags=1), "MS") for ids in (["s1", "s4"], ["s4"])
    ]
    parent = None
    with open_store("sqlite:///forecast.db") as store:
        store.upgrade()
        for i, fitted in enumerate(fits):
            text = describe(fits[0].models[0])
            stored = version.StoredModel(
                "AR", {"name": text.name, "arguments": text.arguments}, fitted.records[0]
            )
            manifest = version.save(
                tmp_path / f"new-{i}", [stored], schema=fits[0].schema.to_json(), created_by="tests 1",
                parent_version=parent,
            )  # fmt: skip
            parent = manifest.version
            root.mkdir(parents=True, exist_ok=True)
            (tmp_path / f"new-{i}").replace(root / parent)
            metrics = {"AR": {"mase_mean": 0.5 + i, "mase_p50": 0.4}, "Naive": {"mase_mean": 1.0}}
            row = store.add_version("sales", manifest, str(root / parent), metrics=metrics)
            store.set_champion("sales", row, i, reason=f"reason {i}")
    return root, fits


def test_an_overlay_is_its_parents_with_its_own_series(line):
    root, fits = line
    wanted = fits[0].predict(3).set_index("unique_id")["AR"].to_dict()
    newest = open_store("sqlite:///forecast.db").version("sales", "champion")
    for name in ("sales@3", "sales@champion", newest.version[:10], str(root / newest.version)):
        found = load_model(name, "sqlite:///forecast.db").predict(3, level=[80])
        assert found["unique_id"].drop_duplicates().tolist() == [f"s{i}" for i in range(6)]
        for key, rows in found.groupby("unique_id"):
            source = (
                {"s1": fits[1], "s4": fits[2]}.get(key, fits[0]).predict(3).query(f"unique_id == '{key}'")
            )
            np.testing.assert_array_equal(rows["AR"], source["AR"])
    assert wanted.keys() == set(found["unique_id"])
    assert call("predict", "sales@2", "-n", 2, "--out", "two.parquet").exit_code == 0
    assert len(pd.read_parquet("two.parquet")) == 12


def test_a_parent_that_is_gone_is_named(line):
    root, _ = line
    with open_store("sqlite:///forecast.db") as store:
        first = Path(store.version("sales", 1).artifact_uri)
    first.replace(root / "elsewhere")
    for name in ("sales@3", "sales@1"):
        with pytest.raises(ArtifactError, match=r"manifest.json: is missing"):
            load_model(name, "sqlite:///forecast.db")
    done = call("predict", "sales@3", "-n", 1)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


def test_names_that_name_nothing(line):
    for name, error, said in (
        ("nowhere", InputError, "there is no folder 'nowhere'"),
        ("sales@9", StoreError, "it has 1 to 3"),
        ("other@1", StoreError, "fleets: sales"),
        ("abcdef", InputError, "must name one version; found none"),
    ):
        with pytest.raises(error, match=said):
            load_model(name, "sqlite:///forecast.db")


def test_show_tells_metrics_parents_and_promotions(line):
    done = call("models", "show", "sales@2")
    assert done.exit_code == 0, done.output
    promoted = "sales@2, in place of sales@1; reason 1"
    for said in ("promotion    2:", promoted, "parent       sales@1", "mase", "1.5", "Naive"):
        assert said in done.output
    found = json.loads(call("models", "show", "sales@2", "--json").stdout)
    assert found["metrics"]["AR"] == {"mase_mean": 1.5, "mase_p50": 0.4}
    assert [(one["row_version"], one["ver"], one["reason"]) for one in found["promotions"]] == [
        (1, 1, "reason 0"), (2, 2, "reason 1"), (3, 3, "reason 2"),
    ]  # fmt: skip
