import numpy as np
import pandas as pd
import pytest

import forecast as fc

DF = pd.DataFrame({"unique_id": "a", "ds": np.arange(40), "y": np.random.default_rng(0).normal(size=40)})


@pytest.fixture(scope="module")
def fitted():
    return fc.fit(DF, [fc.AR(lags=1), fc.Naive()], freq=1)


def test_it_says_what_it_is(fitted):
    assert repr(fitted) == "Fitted(AR, Naive; 1 series, freq='1')"


def test_it_is_a_value(fitted):
    with pytest.raises(AttributeError):
        fitted.models = ()
    assert fitted.update(DF.assign(ds=DF["ds"] + 40)) is not fitted
    assert fitted.records[0].nobs[0] == 40


def test_what_needs_the_data_says_so_after_loading(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    loaded = fc.load(tmp_path / "m")
    assert loaded.panel is None
    with pytest.raises(fc.InputError, match="training data"):
        loaded.diagnostics()
    with pytest.raises(fc.InputError, match="training data"):
        loaded.predict(2, level=90, intervals="bootstrap")
    assert len(loaded.simulate(2, n_paths=3)) == 6
    assert loaded.update(DF.assign(ds=DF["ds"] + 40)).records[0].nobs[0] == 80
