"""How long the first answer takes: ``python -m tests.bench.bench_cold_start``.

Whole processes from start to exit, on one core: the interpreter, imports, the first call. Warm caches means
what an installation has after its first run: machine code (`forecast warm`) and bytecode, the latter in a
folder of this run's own, so that an environment which forbids writing it changes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from statistics import median

from tests.bench.measure import arguments, conclude, one_core, seconds, show

HELP_ROUNDS, FORECAST_ROUNDS = 7, 5
HELP_FLOOR_S, FORECAST_FLOOR_S = 0.3, 1.5
HEAVY = {"numba", "pandas", "statsmodels", "mlflow"}
PACKAGES = ("numpy", "numba", "pandas", "pyarrow", "scipy", "click")

HELP = [sys.executable, "-c", "from pipelines.cli import main; main(['--help'])"]
FORECAST = """
import pandas as pd
import forecast as fc
ds = pd.date_range("2010-01-01", periods=120, freq="MS")
df = pd.DataFrame({"unique_id": "a", "ds": ds, "y": [float(i * 37 % 11) for i in range(120)]})
ahead = fc.fit(df, fc.AR(lags=3), freq="MS").predict(12, level=[95])
assert len(ahead) == 12
"""
EACH = {
    "python": "pass",
    "import numpy": "import numpy",
    "import pandas, pyarrow": "import pandas, pyarrow",
    "import numba": "import numba",
}


def environment(folder):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": folder}


def run(command, env, *, err=subprocess.DEVNULL):
    return subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=err, check=True, text=True)


def processes(command, env, rounds):
    """Median seconds of a process, the first of which is not counted."""
    run(command, env)
    return median(seconds(run, command, env)[0] for _ in range(rounds))


def imported(command, env):
    """Top-level packages that a command imports."""
    told = run([command[0], "-X", "importtime", *command[1:]], env, err=subprocess.PIPE).stderr
    modules = (
        line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")
    )
    return {module.partition(".")[0] for module in modules}


def measure(env):
    entry = processes(HELP, env, HELP_ROUNDS)
    heavy = sorted(imported(HELP, env) & HEAVY)
    first = [sys.executable, "-c", FORECAST]
    answer = processes(first, env, FORECAST_ROUNDS)
    unwanted = sorted(imported(first, env) & (HEAVY - {"numba", "pandas"}))
    lines = [
        {
            "what": "forecast --help",
            "seconds": entry,
            "floor": HELP_FLOOR_S,
            "imports": ", ".join(heavy) or "none heavy",
            "passed": entry <= HELP_FLOOR_S and not heavy,
        },
        {
            "what": "import and first AR forecast",
            "seconds": answer,
            "floor": FORECAST_FLOOR_S,
            "imports": ", ".join(unwanted) or "no statsmodels, no mlflow",
            "passed": answer <= FORECAST_FLOOR_S and not unwanted,
        },
    ]
    for what, code in EACH.items():
        took = processes([sys.executable, "-c", code], env, FORECAST_ROUNDS)
        lines.append({"what": f"for comparison: {what}", "seconds": took})
    return lines


def main():
    one_core()
    args = arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(environment(folder))
    columns = [
        ("what", "", ""), ("seconds", "seconds", ".2f"), ("floor", "at most", ".1f"),
        ("imports", "imports", ""),
    ]  # fmt: skip
    title = f"fresh processes, warm caches, one core, medians of {HELP_ROUNDS} and {FORECAST_ROUNDS}"
    show(lines, columns, title)
    return conclude("cold_start", args, lines, PACKAGES)


if __name__ == "__main__":
    sys.exit(main())
