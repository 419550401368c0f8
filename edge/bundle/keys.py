"""Signing keys: ed25519, the private half in a PEM file of its owner's, the public half in ``keys.json``."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.errors import KeyFileError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PRIVATE_FILE: Final = "signing-key.pem"
TRUSTED_FILE: Final = "keys.json"
ALGORITHM: Final = "ed25519"

# An ed25519 key in PKCS8 has 119 bytes; this leaves room for text around it, not for a wrong file.
_MOST_BYTES: Final = 16_384
# Hexadecimal digits of sha256 that name a key: 64 bits, never two alike by chance among a person's keys.
_ID_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A private key; its representation shows the id only."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        """First 16 hexadecimal digits of the public key's sha256."""
        return key_id_of(self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature (RFC 8032)."""
        return self.private.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"


def key_id_of(public: bytes) -> str:
    """Name a public key of 32 bytes."""
    return hashlib.sha256(public).hexdigest()[:_ID_DIGITS]


def new_key() -> SigningKey:
    """Draw a key from the system's random numbers."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return SigningKey(Ed25519PrivateKey.generate())


def write_key(folder: str | Path) -> tuple[SigningKey, Path, Path]:
    """Make a key; write ``signing-key.pem`` (mode 0600) and ``keys.json`` into `folder`, made if need be.

    Returns
    -------
    key, private, trusted
        The key and the two files. `private` stays where bundles are made, `trusted` goes to the devices.

    Raises
    ------
    KeyFileError
        One of the files is there already, which is left as it is, or the folder cannot be written.
    """
    from cryptography.hazmat.primitives import serialization as pem

    key, root = new_key(), Path(folder)
    private, trusted = root / PRIVATE_FILE, root / TRUSTED_FILE
    text = key.private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    for path in (private, trusted):
        if path.exists() or path.is_symlink():
            raise KeyFileError(f"{path} is there already; a key is never written over: name another folder")
    try:
        root.mkdir(parents=True, exist_ok=True)
        _write_new(private, text, 0o600)
        _write_new(trusted, trusted_keys(key.public), 0o644)
    except OSError as error:
        raise KeyFileError(f"{error.filename or root} cannot be written: {error.strerror}") from error
    return key, private, trusted


def trusted_keys(*publics: bytes) -> bytes:
    """Return a ``keys.json`` that trusts these public keys."""
    keys = [{"key_id": key_id_of(raw), "public_key": raw.hex(), "revoked": False} for raw in publics]
    return json.dumps({"keys": keys}, indent=1, sort_keys=True).encode() + b"\n"


def read_key(path: str | Path) -> SigningKey:
    """Read a private key.

    Raises
    ------
    KeyFileError
        The file is not there, may be read by others, is too large, encrypted, or no ed25519 key in PEM.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = _read_private(Path(path))
    make = "`forecast export-key FOLDER` makes one"
    try:
        found = load_pem_private_key(text, password=None)
    except TypeError:
        raise KeyFileError(f"{path} is encrypted; keep it unencrypted with mode 0600, or {make}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} is no private key in PEM; {make}") from None
    if not isinstance(found, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is a key of another kind, needed is ed25519; {make}")
    return SigningKey(found)


def _read_private(path: Path) -> bytes:
    """Return the file's bytes, if it is its owner's alone: who reads it can sign for every device."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and stat.S_IMODE(mode) & 0o077:
                raise KeyFileError(f"{path} can be read by others; run: chmod 600 {path}")
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"the key {path} cannot be read: {error.strerror}") from None
    if len(text) > _MOST_BYTES:
        raise KeyFileError(f"{path} has more than {_MOST_BYTES} bytes: it is no key file")
    return text


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not exist, with its mode from the first moment."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
