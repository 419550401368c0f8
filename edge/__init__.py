"""Edge bundles: pruned, quantised, provably stationary ONNX models, signed, for small devices.

>>> import edge
>>> edge.export(fitted, "bundle", horizon=24, sign_key="keys/signing-key.pem")  # doctest: +SKIP

The names below are imported when first used; `edge.runtime` is the device side, and needs none of this.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge import runtime as runtime
    from edge.bundle.keys import SigningKey as SigningKey
    from edge.bundle.keys import read_key as read_key
    from edge.bundle.keys import write_key as write_key
    from edge.errors import BundleExistsError as BundleExistsError
    from edge.errors import EdgeError as EdgeError
    from edge.errors import ExportError as ExportError
    from edge.errors import GateError as GateError
    from edge.errors import KeyFileError as KeyFileError
    from edge.exporting import Exported as Exported
    from edge.exporting import export as export
    from edge.fleet import Fleet as Fleet
    from edge.prune import prune_lags as prune_lags
    from edge.prune import prune_parcors as prune_parcors
    from edge.runtime.bundle import Bundle as Bundle

# `edge.prune` and `edge.quantize` are packages: a function of such a name would hide its package.
_HOMES = {
    "edge.bundle.keys": ["SigningKey", "read_key", "write_key"],
    "edge.errors": ["BundleExistsError", "EdgeError", "ExportError", "GateError", "KeyFileError"],
    "edge.exporting": ["Exported", "export"],
    "edge.fleet": ["Fleet"],
    "edge.prune": ["prune_lags", "prune_parcors"],
    "edge.runtime.bundle": ["Bundle"],
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_WHERE]  # noqa: PLE0604  # names are served by __getattr__


def __getattr__(name: str) -> Any:  # noqa: ANN401  # any public name
    if name == "runtime":  # `edge.runtime.Bundle` after `import edge` alone
        return import_module("edge.runtime")
    if name not in _WHERE:
        raise AttributeError(f"module 'edge' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
