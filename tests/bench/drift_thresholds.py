"""Makes `forecast/online/drift/threshold_table.py`: ``python -m tests.bench.drift_thresholds [--threads N]``.

Each line of the table is simulated by the code of the bank: thresholds up to an ARL0 of about 20,000 in one
run, those above in a longer one. Some minutes on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from forecast.online.drift import threshold_table
from forecast.online.drift.detectors import DETECTORS
from forecast.online.drift.run_lengths import NOISES, simulate_arl0, simulate_input_arl0

# Name, then for Gaussian and t5 noise: lowest and highest threshold, at ARL0 of about 100 and 4 million.
GRIDS = {
    "variance": ((2.0, 10.8), (2.6, 13.0)),
    "coverage": ((1.6, 12.0), (1.6, 12.7)),
    "correlation": ((1.9, 12.3), (1.7, 11.4)),
    "adaptive": ((1.6, 12.8), (1.5, 12.2)),
}
# The same of the input detectors, which see windows and are slower to simulate.
INPUT_GRIDS = {"psi": (0.09, 0.46), "ks": (0.11, 0.24)}
POINTS, LOW = 12, 6
SEED = 20_261
# Streams and ticks of the low half and of the high half.
SIZES = ((512, 200_000), (2048, 1_000_000))
INPUT_SIZES = ((1024, 20_000), (16_384, 20_000))

HEAD = '''"""ARL0 of the detectors by simulation; made by `python -m tests.bench.drift_thresholds`."""

from __future__ import annotations

TABLE: dict[tuple[str, str], tuple[tuple[float, float, float], ...]] = {'''


def heights(noise: int) -> np.ndarray:
    """(points, 6) thresholds; inf for the detectors that need no table."""
    grid = np.full((POINTS, len(DETECTORS)), np.inf)
    for name, ends in GRIDS.items():
        grid[:, DETECTORS.index(name)] = np.linspace(*ends[noise], POINTS).round(3)
    return grid


def table(noise: str, threads: int, scale: float) -> dict[str, list[tuple[float, float, float]]]:
    """Threshold, ARL0 and standard error of every detector at its grid."""
    grid, found = heights(NOISES[noise]), []
    for part, (streams, ticks) in zip((grid[:LOW], grid[LOW:]), SIZES, strict=True):
        some = int(ticks * scale) // 2 * 2
        runs = simulate_arl0(part, streams=streams, ticks=some, noise=noise, seed=SEED, threads=threads)
        found.append((runs.mean, runs.error))
    mean, error = (np.vstack(each) for each in zip(*found, strict=True))
    columns = {name: DETECTORS.index(name) for name in GRIDS}
    return {name: list(zip(grid[:, d], mean[:, d], error[:, d], strict=True)) for name, d in columns.items()}


def input_table(threads: int, scale: float) -> dict[str, list[tuple[float, float, float]]]:
    """As `table`, of the input detectors on independent values."""
    made = {}
    for d, (name, ends) in enumerate(INPUT_GRIDS.items()):
        grid = np.full((POINTS, len(INPUT_GRIDS)), np.inf)
        grid[:, d] = np.linspace(*ends, POINTS).round(4)
        found = []
        for part, (streams, ticks) in zip((grid[:LOW], grid[LOW:]), INPUT_SIZES, strict=True):
            some = max(int(streams * scale) // 8, 1) * 8
            runs = simulate_input_arl0(part, streams=some, ticks=ticks, seed=SEED, threads=threads)
            found.append((runs.mean[:, d], runs.error[:, d]))
        mean, error = (np.concatenate(each) for each in zip(*found, strict=True))
        made[name] = list(zip(grid[:, d], mean, error, strict=True))
    return made


def source(tables: dict[tuple[str, str], list[tuple[float, float, float]]]) -> str:
    """The module."""
    lines = [HEAD]
    for (name, noise), rows in tables.items():
        lines.append(f'    ("{name}", "{noise}"): (')
        for height, mean, error in rows:
            lines.append(f"        ({height:.4f}, {mean:.5g}, {error:.2g}),".replace("e+", "e"))
        lines.append("    ),")
    return "\n".join(
        [*lines, "}", '"""By detector and noise: threshold, ARL0 in ticks, its standard error."""', ""]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the ticks")
    parser.add_argument("--to", type=Path, default=Path(threshold_table.__file__))
    args = parser.parse_args()
    tables = {}
    for noise in NOISES:
        made = table(noise, args.threads, args.scale)
        tables |= {(name, noise): rows for name, rows in made.items()}
    made = input_table(args.threads, args.scale)
    tables |= {(name, "gaussian"): rows for name, rows in made.items()}
    args.to.write_text(source(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
