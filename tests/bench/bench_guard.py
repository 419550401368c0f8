"""What the default model does on real panels: ``python -m tests.bench.bench_guard``.

For each set the share of series on which the guard of `AutoAR` fired (a baseline won the rolling origin
inside the training data) and, on the test part, sMAPE, MASE and the coverage of 95 % intervals against the
baselines: means over series, points clipped at 0. One core. The panels lie beside the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from tests.bench.measure import arguments, conclude, one_core, seconds, show

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "panels"
GUARD_LIMIT = {"m3_monthly": 0.30}
PACKAGES = ("numpy", "numba", "pandas")


def scores(fitted, train, test, h, season):
    """Rows of `fc.evaluate` as a dict of metric -> model -> value."""
    import forecast as fc

    ahead = fitted.predict(h, level=[95])
    names = [model.alias for model in fitted.models]
    lower = [f"{name}-lo-95" for name in names]
    upper = [f"{name}-hi-95" for name in names]
    columns = names + lower + upper
    ahead[columns] = ahead[columns].clip(lower=0.0)
    both = test.merge(ahead, on=["unique_id", "ds"], validate="one_to_one")
    assert len(both) == len(test)  # a lost row would be a lost error
    metrics = [fc.smape, fc.mase, fc.coverage]
    table = fc.evaluate(both, metrics=metrics, season_length=season, train_df=train, models=names)
    return table.set_index("metric")


def measure(name, season, h):
    import forecast as fc

    train, test = (pd.read_parquet(FOLDER / f"{name}_{part}.parquet") for part in ("train", "test"))
    took, auto = seconds(lambda: fc.fit(train, model=fc.AutoAR(season_length=season), freq=1))
    models = [fc.Naive(), fc.SeasonalNaive(season_length=season), fc.Drift()]
    plain = fc.fit(train, model=models, freq=1)
    status = auto.records[0].status
    ours, theirs = (scores(each, train, test, h, season) for each in (auto, plain))
    short = float(np.mean(status == fc.Status.TOO_SHORT))
    guarded = float(np.mean(status == fc.Status.GUARDED))
    limit = GUARD_LIMIT.get(name)
    line = {"set": name, "n_series": len(status), "seconds": took, "guarded": guarded, "too_short": short}
    for metric in ("smape", "mase", "coverage-95"):
        line[metric] = float(ours.loc[metric, "AutoAR"])
        for model in ("Naive", "SeasonalNaive", "Drift"):
            line[f"{metric} {model}"] = float(theirs.loc[metric, model])
    return line if limit is None else line | {"limit": limit, "passed": guarded <= limit}


def main():
    one_core()
    args = arguments(__doc__)
    if not FOLDER.is_dir():
        sys.stdout.write(
            "skipped: needs the panels at ../shared/data/panels, which are not part of the repository\n"
        )
        return 0
    sets = pd.read_csv(FOLDER / "sets.csv").itertuples()
    lines = [measure(row.set, int(row.season_length), int(row.horizon)) for row in sets]
    columns = [
        ("set", "set", ""), ("n_series", "series", "d"), ("seconds", "fit s", ".2f"),
        ("guarded", "guarded", ".1%"), ("limit", "at most", ".0%"), ("too_short", "short", ".1%"),
    ]  # fmt: skip
    for metric, head, form in (
        ("smape", "sMAPE", ".2f"),
        ("mase", "MASE", ".3f"),
        ("coverage-95", "cover", ".3f"),
    ):
        columns.append((metric, head, form))
        columns += [(f"{metric} {model}", short, form) for model, short in
                    (("Naive", "naive"), ("SeasonalNaive", "snaive"), ("Drift", "drift"))]  # fmt: skip
    show(
        lines,
        columns,
        "AutoAR and the baselines on the test part; guarded: the share of series it gave to a baseline",
    )
    return conclude("guard", args, lines, PACKAGES)


if __name__ == "__main__":
    sys.exit(main())
