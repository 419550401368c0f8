"""Everything the exporter raises; the device side has a tree of its own.

EdgeError (a ForecastError)
|-- ExportError       nothing, or nothing trustworthy, can be exported from what was given
|   `-- GateError     what was written failed its own check: unstable, out of tolerance, a foreign operator
|-- GraphError        a graph that would not run, or holds what no device should meet: a fault of ours
|-- KeyFileError      a signing key cannot be read, or must not be written
`-- BundleExistsError a bundle is there already
"""

from __future__ import annotations

from forecast.errors import ForecastError


class EdgeError(ForecastError):
    """Base of every error raised by the exporter."""


class ExportError(EdgeError, ValueError):
    """Nothing, or nothing trustworthy, can be exported from what was given."""


class GateError(ExportError):
    """What was written failed its own check; nothing was signed."""


class GraphError(EdgeError):
    """A graph that would not run, or holds what no device should meet: a fault of ours."""


class KeyFileError(EdgeError):
    """A signing key cannot be read, or must not be written."""


class BundleExistsError(EdgeError):
    """A bundle is there already."""
