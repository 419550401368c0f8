import json

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.errors import ArtifactError

DF = pd.DataFrame({"unique_id": "a", "ds": np.arange(40), "y": np.random.default_rng(0).normal(size=40)})


@pytest.fixture
def folder(tmp_path):
    fc.fit(DF, [fc.AR(lags=[1, 3]), fc.Naive(alias="Last")], freq=1).save(tmp_path / "m")
    return tmp_path / "m"


def edit(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_several_models_in_one_folder(folder):
    got = fc.load(folder)
    assert got.models == (
        fc.AR(lags=[1, 3], season_length=got.models[0].season_length),
        fc.Naive(alias="Last"),
    )
    assert list(got.predict(1).columns) == ["unique_id", "ds", "AR", "Last"]


def test_only_arrays_and_json_are_stored(folder):
    names = sorted(path.suffix for path in folder.rglob("*") if path.is_file())
    assert set(names) == {".json", ".npz"}
    for path in folder.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            plain = [arrays[name] for name in arrays.files]
        for member in plain:  # the header is JSON text
            assert json.loads(member) if isinstance(member, bytes) else member.dtype != object


def test_saving_again_replaces(folder):
    fc.fit(DF, fc.Drift(), freq=1).save(folder)
    assert fc.load(folder).models == (fc.Drift(),)
    assert len(list((folder / "chunks").iterdir())) == 1


def test_the_same_model_is_the_same_version(folder, tmp_path):
    again = tmp_path / "again"
    fc.fit(DF, [fc.AR(lags=[1, 3]), fc.Naive(alias="Last")], freq=1).save(again)
    chunks = [sorted(p.name for p in (f / "chunks").iterdir()) for f in (folder, again)]
    assert chunks[0] == chunks[1]


def test_a_model_of_another_program_is_refused(folder):
    edit(folder, lambda m: m["models"][0]["spec"].update(name="os.system"))
    with pytest.raises(ArtifactError):
        fc.load(folder)


def test_arguments_of_another_version_are_refused(folder):
    edit(folder, lambda m: m["models"][0]["spec"]["arguments"].update(novelty=1))
    with pytest.raises(ArtifactError):
        fc.load(folder)
