"""The floors of the benchmark, on few models of each population."""

import numpy as np
import pytest

from edge.quantize import code, decode
from edge.quantize.polynomial import product
from tests.bench.edge_populations import populations
from tests.oracles import edge_quantize as oracle


def test_the_same_seed_draws_the_same_models_and_another_seed_others():
    one, same, other = (populations(5, seed) for seed in (1, 1, 2))
    assert len(one) == 10
    assert sum(p.held_out for p in one) == 2
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a.models.parcor, b.models.parcor)
        assert (a.models.parcor != c.models.parcor).any()


@pytest.mark.slow
@pytest.mark.parametrize("population", populations(100), ids=lambda p: p.name)
def test_every_population_keeps_to_the_floors(population):
    models = population.models
    coded = code(models)
    assert coded.rise.mean() <= 5e-3
    assert np.median(coded.rise) <= 2e-4
    assert np.mean(coded.bits == 16) <= (0.15 if population.name.startswith("random") else 0.4)
    phi, seasonal = decode(coded.codes, coded.scale), decode(coded.seasonal_codes, coded.seasonal_scale)
    for i in range(100):
        s = int(models.s[i])
        made = product(phi[i : i + 1, : models.p[i]], seasonal[i : i + 1, : models.P[i]], s)[0]
        assert oracle.largest_pole(made) < 1.0
