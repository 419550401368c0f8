import pytest

from edge.prune import prune_lags
from forecast.models.ar import AR
from tests.edge.prune.cases import panel_of, paths


@pytest.fixture(scope="module")
def panel():
    return panel_of(paths(12, 500))


@pytest.fixture(scope="module")
def records(panel):
    return AR(lags=24).fit(panel)


@pytest.fixture(scope="module")
def pruned(records, panel):
    return prune_lags(records, panel)
