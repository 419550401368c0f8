"""What keeps a series as it was: guards, data that are not there, arguments."""

from dataclasses import replace

import numpy as np
import pytest

from edge.prune import prune_lags
from forecast.errors import InputError
from forecast.models.ar import ARX
from forecast.models.freq import Freq
from tests.edge.prune.cases import assert_row, panel_of, paths


def test_a_guard_that_lets_nothing_pass_leaves_everything(records, panel):
    found = prune_lags(records, panel, max_rise=-0.9)
    assert not found.changed.any()
    assert set(found.reason.tolist()) == {"with fewer lags it forecasts worse"}
    for i in range(12):
        assert_row(found.records, records, i)


def test_the_guard_walks_back(panel, records, pruned):
    strict = prune_lags(records, panel, max_rise=-0.01)
    assert (strict.lags_kept >= pruned.lags_kept).all()
    assert (strict.lags_kept > pruned.lags_kept).any()
    assert (strict.rise[strict.changed] <= -0.01).all()


def test_a_final_fit_that_is_worse_than_the_record_does_not_replace_it(panel, records, monkeypatch):
    import edge.prune.refit as refit_module

    def wrong(history, lags, width):
        fit = refit_module.refit(history, lags, width)
        return replace(fit, phi=-fit.phi)

    monkeypatch.setattr("edge.prune.batch.refit", wrong)
    found = prune_lags(records, panel)
    assert set(found.reason.tolist()) == {"with fewer lags it forecasts worse"}
    assert np.isnan(found.rise).all()
    for i in range(12):
        assert_row(found.records, records, i)


def test_data_that_are_not_there_are_reasons(panel, records):
    found = prune_lags(records, panel.take(np.arange(11)))
    assert found.reason[11] == "its data are not in the panel"
    assert found.changed[:11].all()
    assert_row(found.records, records, 11)
    cut = panel_of([panel.series(i)[:499] for i in range(12)])
    assert set(prune_lags(records, cut).reason.tolist()) == {"its data end before the record does"}
    later = panel_of([panel.series(i) for i in range(12)], start=1)
    assert set(prune_lags(records, later).reason.tolist()) == {"its data start at another time"}


def test_a_regressor_that_is_not_in_the_panel_is_a_reason():
    rng = np.random.default_rng(0)
    data = panel_of(paths(2, 300), {"x": list(rng.normal(size=(2, 300)))})
    records = ARX(lags=4).fit(data)
    found = prune_lags(records, replace(data, exog={}))
    assert set(found.reason.tolist()) == {"regressor 'x' is not in the panel"}


def test_arguments_that_make_no_sense_are_refused(records, panel):
    with pytest.raises(InputError, match="horizon must be 1 or more, got 0"):
        prune_lags(records, panel, horizon=0)
    with pytest.raises(InputError, match="max_rise must be"):
        prune_lags(records, panel, max_rise=np.nan)
    with pytest.raises(InputError, match="the panel has frequency"):
        prune_lags(records, replace(panel, freq=Freq("MS")))
