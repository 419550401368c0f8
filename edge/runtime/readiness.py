"""What a bundle needs besides its models to serve on this device: told before it is switched to."""

from __future__ import annotations

from .errors import BundleError
from .grid import Grid
from .initial import InitialStates
from .manifest import Manifest
from .schema import Schema
from .verify import VerifiedBundle


def check_agreement(manifest: Manifest, schema: Schema) -> None:
    """Raise BundleError where schema.json is of another bundle than manifest.json."""
    if (manifest.n_series, manifest.horizon, manifest.levels) != (
        len(schema.series),
        schema.horizon,
        schema.levels,
    ):
        raise BundleError("manifest.json and schema.json do not agree on series, horizon or levels")


def check_ready(bundle: VerifiedBundle, schema: Schema) -> None:
    """Read what a series starts from, and the time zone of the grid.

    Raises
    ------
    BundleError
        states.npz cannot be read, has other shapes than the schema says, or holds what no filter makes; this
        device does not know the zone.
    """
    check_agreement(bundle.manifest, schema)
    grid = Grid(schema.freq)
    grid.wall(0)
    if any(column.computed for column in schema.exog):
        grid.calendar_clock(0)
    InitialStates(bundle, schema).check()
