import pytest

import forecast as fc
from forecast.models.spec import Model, describe, with_season


def test_the_season_is_filled_in_where_it_was_left_open():
    assert with_season(fc.SeasonalNaive(), 12).season_length == 12
    assert with_season(fc.SeasonalNaive(season_length=7), 12).season_length == 7
    naive = fc.Naive()
    assert with_season(naive, 12) is naive


def test_a_description_is_the_class_and_its_arguments():
    text = describe(fc.AR(lags=[1, 2], trend="ct"))
    assert text.name == "AR"
    assert text.arguments["lags"] == [1, 2]
    assert fc.AR(**text.arguments) == fc.AR(lags=[1, 2], trend="ct")


def test_only_a_dataclass_has_a_description():
    with pytest.raises(TypeError, match="object"):
        describe(object())


def test_what_is_a_model():
    assert isinstance(fc.AR(), Model)
    assert not isinstance("AR", Model)
