"""SHA-256 and SHA-512 without OpenSSL, where Python has its own: 4 MB less in a small device's memory."""

from __future__ import annotations

from importlib import import_module
from typing import Final, Protocol, cast


class Digest(Protocol):
    """What is used of the objects of `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""

    def digest(self) -> bytes:
        """Return the digest."""
        ...

    def hexdigest(self) -> str:
        """Return it in hexadecimal digits."""
        ...


class Algorithm(Protocol):
    """A digest of bytes, to which more can be added."""

    def __call__(self, data: bytes = b"", /) -> Digest:
        """Begin with some bytes."""
        ...


def _find(name: str) -> Algorithm:
    for module in ("_sha2", f"_{name}"):  # of Python 3.12 and later, and of 3.11
        try:
            return cast("Algorithm", getattr(import_module(module), name))
        except (ImportError, AttributeError):
            continue
    return cast("Algorithm", getattr(import_module("hashlib"), name))


sha256: Final = _find("sha256")
sha512: Final = _find("sha512")
