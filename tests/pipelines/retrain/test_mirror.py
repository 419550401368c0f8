"""MLflow follows the store."""

from __future__ import annotations

import pytest

from pipelines.errors import TrackingError
from pipelines.retrain.mirror import mirror
from pipelines.retrain.promote import promote
from pipelines.tracking import Tracker
from tests.services.mlflow_server import free_port, mlflow_server

pytestmark = pytest.mark.slow

TIMEOUT_S = 120.0


def aliases(ask, uri):
    code = """
model = client.get_registered_model("shop")
found = {k: client.get_model_version("shop", v).tags["forecast.version"] for k, v in model.aliases.items()}
"""
    return ask(uri, code)


def numbers(ask, uri):
    return ask(uri, "found = len(client.search_model_versions(\"name = 'shop'\"))")


@pytest.fixture
def tracker(shop):
    with Tracker(shop.settings.tracking_uri) as found:
        yield found


@pytest.fixture(params=["file", pytest.param("server", marks=pytest.mark.ops)])
def uri(request, shop, tmp_path):
    if request.param == "file":
        yield shop.settings.tracking_uri
        return
    with mlflow_server(tmp_path) as url:
        yield url


def test_an_overlay_is_registered_by_its_changes_and_loads_with_its_parents(shop, uri, ask):
    with Tracker(uri) as tracker:
        _an_overlay(shop, uri, tracker, ask)


def _an_overlay(shop, uri, tracker, ask):
    store = shop.store
    first = shop.whole()
    promote(store, "shop", first, reason="first")
    assert mirror(store, uri, tracker=tracker, timeout_s=TIMEOUT_S) == 1
    assert aliases(ask, uri) == {"champion": first.version}
    second = shop.overlay(first, ("b",))
    third = shop.overlay(second, ("c",), level=30.0)
    promote(store, "shop", third, reason="drift")
    assert mirror(store, uri, tracker=tracker, timeout_s=TIMEOUT_S) == 1
    assert aliases(ask, uri) == {"champion": third.version}
    rows = [store.version("shop", each.ver) for each in (first, second, third)]
    assert [row.mlflow_version for row in rows] == ["1", "2", "3"]
    assert all(row.mlflow_run_id for row in rows)
    answer = ask(uri, """
model = mlflow.pyfunc.load_model("models:/shop@champion")
asked = pd.DataFrame({"unique_id": ["a", "b", "c", "d"]})
frame = model.predict(asked, params={"h": 200})
found = frame.groupby("unique_id")["AR"].last().round(0).to_dict()
""")  # fmt: skip
    assert [round(answer[name] / 10) for name in "abcd"] == [1, 2, 3, 1]
    size = ask(uri, """
import pathlib
path = mlflow.artifacts.download_artifacts("models:/shop/3")
found = [len(list(pathlib.Path(path).rglob("*.npz")))]
""")  # fmt: skip
    assert size == [1]  # its own chunk, none of its parents'
    assert mirror(store, uri, tracker=tracker) == 0
    assert mirror(store, uri, tracker=tracker, timeout_s=TIMEOUT_S, again=True) == 1
    assert numbers(ask, uri) == 3


def test_a_challenger_has_its_alias_while_it_is_in_the_shadow(shop, tracker, ask):
    uri, store = shop.settings.tracking_uri, shop.store
    first = shop.whole()
    promote(store, "shop", first, reason="first")
    second = shop.overlay(first, ("b",), state="shadow")
    assert mirror(store, uri, tracker=tracker, timeout_s=TIMEOUT_S) == 1
    assert aliases(ask, uri) == {"champion": first.version, "challenger": second.version}
    third = shop.overlay(first, ("c",), state="shadow")
    assert mirror(store, uri, tracker=tracker, timeout_s=TIMEOUT_S) == 1
    assert aliases(ask, uri)["challenger"] == third.version
    for row in (second, third):
        store.set_state(row, "rejected")
    assert mirror(store, uri, tracker=tracker, timeout_s=TIMEOUT_S) == 1
    assert aliases(ask, uri) == {"champion": first.version}
    assert mirror(store, uri, tracker=tracker, timeout_s=TIMEOUT_S) == 0


def test_what_the_store_did_not_note_is_found_again(shop, tracker, ask, monkeypatch):
    uri, store = shop.settings.tracking_uri, shop.store
    first = shop.whole()
    promote(store, "shop", first, reason="first")

    def crash(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "set_tracking", crash)
        with pytest.raises(KeyboardInterrupt):
            mirror(store, uri, tracker=tracker, timeout_s=TIMEOUT_S)
    assert store.champion("shop").mirrored == 0
    assert mirror(store, uri, tracker=tracker, timeout_s=TIMEOUT_S) == 1
    assert numbers(ask, uri) == 1
    assert store.version("shop", 1).mlflow_version == "1"
    assert store.champion("shop").mirrored == 1


def test_a_server_that_is_down_is_told_when_it_is_back(shop):
    store = shop.store
    promote(store, "shop", shop.whole(), reason="first")
    with pytest.raises(TrackingError, match="refuses connections") as caught:
        mirror(store, f"http://127.0.0.1:{free_port()}", timeout_s=30)
    assert caught.value.retriable
    assert store.champion("shop").mirrored == 0
    assert mirror(store, shop.settings.tracking_uri, timeout_s=TIMEOUT_S) == 1
    assert store.champion("shop").mirrored == 1


def test_a_fleet_that_mlflow_refuses_keeps_no_other_waiting(shop):
    from forecast.models import version

    store = shop.store
    first = shop.whole()
    store.add_version("a shop", version.load(first.artifact_uri).manifest, first.artifact_uri)
    promote(store, "a shop", 1, reason="first")
    promote(store, "shop", first, reason="first")
    with pytest.raises(TrackingError, match="a shop@1: fleet must be 1 to 200 letters"):
        mirror(store, shop.settings.tracking_uri, timeout_s=TIMEOUT_S)
    assert [store.champion(name).mirrored for name in ("a shop", "shop")] == [0, 1]
