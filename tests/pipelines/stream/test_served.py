"""Models made ready: from records, folders and the store; what is refused, and how it is said."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from forecast.models.freq import Freq
from forecast.models.version import StoredModel, save
from pipelines.errors import StoreError, StreamError
from pipelines.store import open_store
from pipelines.stream.loading import load_folder, load_named, load_version
from pipelines.stream.served import serve
from tests.strategies import make_records

AR = {"phi": [0.5, 0.2], "const": 1.0, "levels": [1.0, 2.0], "margin": 0.5, "max_pole": 0.8}


def ids(*names):
    return np.array(names, dtype=object)


def stored(alias="AR", n=3, **fields):
    return StoredModel(alias, {"name": "AR", "arguments": {}}, make_records(n, **(AR | fields)))


def write(folder, *models, parent=None):
    return save(folder, models, schema={"y": "float64"}, created_by="tests 1", parent_version=parent)


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db") as opened:
        opened.upgrade()
        yield opened


def test_ids_are_found_texts_or_numbers():
    served = serve(make_records(2, ids=ids("a", 7), **AR))
    data = np.frombuffer(b"a7b", dtype=np.uint8)
    assert served.find(data, np.array([0, 1, 2, -1]), np.array([1, 2, 3, -1])).tolist() == [0, 1, -1, -1]


@pytest.mark.parametrize(
    ("text", "dt_ms"),
    [("1", 1), ("12", 12), ("h", 3_600_000), ("15min", 900_000), ("D", 86_400_000), ("MS", 2_629_746_000),
     ("QS", 3 * 2_629_746_000), ("B", 120_960_000), ("100ms", 100)],
)  # fmt: skip
def test_the_nominal_step(text, dt_ms):
    assert serve(make_records(1, freq=Freq(text), **AR)).dt_ms == dt_ms


def test_a_grid_finer_than_messages_can_say():
    with pytest.raises(StreamError, match="finer than a millisecond"):
        serve(make_records(1, freq=Freq("100us"), **AR))


def test_a_model_that_fails_its_certificate_is_refused_by_name_and_number():
    phi = np.array([[0.5, 0.2], [0.99995, 0.0], [0.5, 0.2]])
    with pytest.raises(
        StreamError, match=r"series 's1' has a margin of 5e-05.*largest pole of 0.99995 .*1 of 3"
    ):
        serve(make_records(3, **(AR | {"phi": phi})))


def test_an_unsound_model_is_refused():
    with pytest.raises(StreamError, match="sigma2 of series 's0' must not be negative"):
        serve(make_records(2, sigma2=-1.0, **AR))
    with pytest.raises(StreamError, match="is not sound"):
        serve(make_records(1, **(AR | {"phi": [1.5, 0.2]})))


def test_a_folder(tmp_path):
    manifest = write(tmp_path / "m", stored())
    served = load_folder(tmp_path / "m", name="fleet")
    assert (served.name, served.alias, served.version) == ("fleet", "AR", manifest.version)
    assert served.records.n_series == 3


def test_what_is_no_model(tmp_path):
    with pytest.raises(StreamError, match="missing"):
        load_folder(tmp_path / "none")
    write(tmp_path / "m", stored())
    next((tmp_path / "m" / "chunks").iterdir()).write_bytes(b"x")
    with pytest.raises(StreamError, match="cut short"):
        load_folder(tmp_path / "m")


def test_parents_are_read_beside_the_folder(tmp_path):
    parent = write(tmp_path / "whole", stored(n=3))
    (tmp_path / "whole").rename(tmp_path / parent.version)
    child = write(tmp_path / "child", stored(n=1, const=9.0), parent=parent.version)
    served = load_folder(tmp_path / "child")
    assert served.version == child.version
    assert served.records.const.tolist() == [9.0, 1.0, 1.0]


def test_of_several_models_one_is_named_or_the_best_is_taken(tmp_path):
    write(tmp_path / "m", stored("AR"), stored("Other"))
    assert load_folder(tmp_path / "m", alias="Other").alias == "Other"
    with pytest.raises(StreamError, match="name one of 'AR', 'Other'"):
        load_folder(tmp_path / "m")
    with pytest.raises(StreamError, match="no model 'Third'; it has 'AR', 'Other'"):
        load_folder(tmp_path / "m", alias="Third")
    metrics = {"AR": {"mase_mean": 0.9}, "Other": {"mase_mean": 0.8}}
    assert load_folder(tmp_path / "m", metrics=metrics).alias == "Other"


def test_models_by_name(tmp_path, store):
    manifest = write(tmp_path / "m", stored())
    row = store.add_version("fleet", manifest, str(tmp_path / "m"))
    with pytest.raises(StoreError, match="no champion yet"):
        load_named(store, "fleet@champion")
    assert load_named(store, "fleet@1").row_version == 0
    store.set_champion("fleet", row, None)
    served = load_named(store, "fleet@champion")
    assert (served.name, served.version, served.row_version) == ("fleet", manifest.version, 1)
    assert load_version(store, "fleet", manifest.version, 5).row_version == 5
    with pytest.raises(StreamError, match="FLEET@champion"):
        load_named(store, "fleet")


def test_the_service_needs_neither_pandas_nor_statsmodels_nor_mlflow(tmp_path):
    write(tmp_path / "m", stored())
    code = f"""
import json, sys
from pipelines.stream.engine import Engine
from pipelines.stream.loading import load_folder
from pipelines.log.records import Partition, make_batch
engine = Engine(load_folder({str(tmp_path / "m")!r}))
engine.open(0)
tick = b'{{"series_id":"s0","ts_ms":100,"value":1.5,"v":1}}'
engine.process(make_batch(Partition("ticks", 0), [0], [0], [(b"s0", tick)], 1))
print(json.dumps([name for name in ("pandas", "statsmodels", "mlflow", "sqlalchemy") if name in sys.modules]))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []
