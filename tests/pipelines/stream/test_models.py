"""The model that a service starts with, and those after it, out of a real store."""

from __future__ import annotations

import pytest

import forecast as fc
from pipelines.errors import StoreError, StreamError
from pipelines.store import open_store
from pipelines.stream.models import ChampionLoader, follows_champion, load_first
from pipelines.wire import Control
from tests.chaos.feeding import make_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A store with two versions of a fleet, of which the first is champion, and their folders."""
    folder = tmp_path_factory.mktemp("models")
    paths = [make_model(folder / str(seed), 3, seed) for seed in (1, 2)]
    url = f"sqlite:///{folder / 'store.db'}"
    with open_store(url) as store:
        store.upgrade()
        rows = [store.add_version("sales", manifest(path), str(path)) for path in paths]
        store.set_champion("sales", rows[0], None)
    return url, paths, rows


def manifest(path):
    from forecast.models import version

    return version.load(path).manifest


def control(version, row_version, name="sales"):
    return Control(name=name, version=version, row_version=row_version, v=1)


def test_names_of_models(registered):
    url, paths, rows = registered

    def opened():
        return open_store(url)

    assert load_first(str(paths[1]), opened).version == rows[1].version
    champion = load_first("sales@champion", opened)
    assert (champion.name, champion.version, champion.row_version) == ("sales", rows[0].version, 1)
    assert load_first("sales@2", opened).version == rows[1].version
    assert follows_champion("sales@champion")
    assert not follows_champion("sales@2")
    assert not follows_champion(str(paths[0]))
    with pytest.raises(StreamError, match="no folder 'sales'"):
        load_first("sales", opened)
    with pytest.raises(StoreError, match="no version '9'"):
        load_first("sales@9", opened)


def test_the_store_is_the_truth_and_the_message_a_hint(registered):
    url, _, rows = registered
    load = ChampionLoader(lambda: open_store(url))
    with pytest.raises(StoreError, match="from elsewhere"):
        load(control(rows[1].version, 2))
    with pytest.raises(StoreError, match="from elsewhere"):
        load(control(rows[1].version, 1, name="prices"))
    with pytest.raises(StreamError, match="the message says another"):
        load(control(rows[1].version, 1))
    with open_store(url) as store:
        assert store.set_champion("sales", rows[1], 1) == 2
    served = load(control(rows[1].version, 2))
    assert (served.version, served.row_version) == (rows[1].version, 2)
    late = load(control(rows[0].version, 1))
    assert late.version == rows[1].version  # what is champion by now
    assert isinstance(fc.load(rows[1].artifact_uri), fc.Fitted)
