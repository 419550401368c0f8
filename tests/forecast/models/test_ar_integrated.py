"""Recipes of AutoAR: their records must be the model that was fitted."""

import numpy as np
import pytest

from forecast.kernels.burg import fit_burg
from forecast.models.ar_integrated import Recipe, fit_recipe
from forecast.models.ar_records import finish
from forecast.models.forecasting import forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import Transform

S = 4


def panel(*series):
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    ids = np.array([str(i) for i in range(len(series))], dtype=object)
    values = np.concatenate([np.asarray(s, dtype=float) for s in series])
    return Panel(values, indptr, ids, np.zeros(len(series), dtype=np.int64), Freq("1"))


def series(n=60, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    return 50 + 0.3 * t + np.array([3.0, -1.0, 0.0, -2.0])[t % S] + rng.normal(size=n).cumsum() * 0.3


RECIPES = [
    Recipe(log=log, effects=effects, d=d, D=D, mean=mean)
    for log in (False, True)
    for effects, D in ((False, 0), (True, 0), (False, 1))
    for d in (0, 1)
    for mean in (True, False)
    if mean or d or D  # a level without a mean is no recipe: its AR part has a pole at 1
]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_forecasts_follow_the_recipe_step_by_step(recipe):
    """Difference, fit by Burg, forecast, sum up again: all by hand but the kernel of Burg's method."""
    y = series()
    records, ok = fit_recipe(recipe, panel(y), S, 3, 0)
    assert ok.all()
    effects = np.resize(records.seasonal[0], len(y) + 6) if recipe.effects else np.zeros(len(y) + 6)
    w = (np.log(y) if recipe.log else y) - effects[: len(y)]
    u = w.copy()
    u = u[1:] - u[:-1] if recipe.d else u
    u = u[S:] - u[:-S] if recipe.D else u
    phi, mean, sigma2 = np.zeros((1, 3)), np.zeros(1), np.zeros(1)
    order, ic, loglik, good = (
        np.zeros(1, dtype=np.int64),
        np.empty((1, 4)),
        np.zeros(1),
        np.zeros(1, dtype=np.uint8),
    )
    indptr = np.array([0, len(u)])
    fit_burg(u, indptr, 0, 1, 3, 0, int(recipe.mean), phi, mean, sigma2, order, ic, loglik, good)
    centre = mean[0] if recipe.mean and recipe.d + recipe.D < 2 else 0.0
    past = list(u - centre)
    for _ in range(6):
        past.append(float(phi[0] @ np.array(past[-1:-4:-1])))
    ahead = np.array(past[-6:]) + centre
    if recipe.D:
        base = list(w[1:] - w[:-1]) if recipe.d else list(w)
        for step in ahead:
            base.append(base[-S] + step)
        ahead = np.array(base[-6:])
    if recipe.d:
        ahead = w[-1] + np.cumsum(ahead)
    ahead = ahead + effects[len(y) :]
    got = forecast(finish(records, panel(y)), 6, ()).mean[0]
    if recipe.mean and recipe.d + recipe.D == 2:
        return  # a mean of second differences is a quadratic trend: the recipe leaves it out
    np.testing.assert_allclose(got, np.exp(ahead) if recipe.log else ahead, rtol=1e-9)


def test_what_a_recipe_cannot_be_fitted_to():
    y = series()
    short, negative = y[:5], y - 60
    p = panel(y, short, negative)
    records, ok = fit_recipe(Recipe(log=True, d=1), p, S, 2, 0)
    assert ok.tolist() == [True, False, False]
    assert (records.transform == Transform.LOG).all()
    _, ok = fit_recipe(Recipe(D=1), panel(y, y[:9]), S, 2, 0)
    assert ok.tolist() == [True, False]


def test_recipes_do_not_mix_series():
    ys = [series(60, 1), series(45, 2), series(52, 3)]
    for recipe in (Recipe(effects=True, d=1), Recipe(D=1)):
        together, _ = fit_recipe(recipe, panel(*ys), S, 6, 2)
        for i, y in enumerate(ys):
            alone, _ = fit_recipe(recipe, panel(y), S, 6, 2)
            k = alone.phi.shape[1]
            np.testing.assert_array_equal(together.phi[i, :k], alone.phi[0])
            np.testing.assert_array_equal(together.seasonal[i], alone.seasonal[0] if recipe.effects else [])
            assert together.sigma2[i] == alone.sigma2[0]
