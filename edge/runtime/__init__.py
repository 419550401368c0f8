"""The device side of an edge bundle: numpy, onnxruntime and the standard library, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answer import Forecast as Forecast
    from .bundle import Bundle as Bundle
    from .device import Device as Device
    from .errors import BundleError as BundleError
    from .errors import DeviceError as DeviceError
    from .errors import RequestError as RequestError
    from .installing import install as install
    from .installing import rollback as rollback

# Loaded when first used: `status` on a device needs neither models nor SQLite.
_HOMES = {
    "Bundle": "bundle",
    "BundleError": "errors",
    "Device": "device",
    "DeviceError": "errors",
    "Forecast": "answer",
    "RequestError": "errors",
    "install": "installing",
    "rollback": "installing",
}

__all__ = [
    "Bundle",
    "BundleError",
    "Device",
    "DeviceError",
    "Forecast",
    "RequestError",
    "install",
    "rollback",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # a module's attributes have any type
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
