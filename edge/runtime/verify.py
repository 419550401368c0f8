"""A bundle that is what a trusted key signed: nothing of it is used before it is checked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import ed25519
from . import strict_json as js
from .digests import sha256
from .errors import BundleError, SignatureError
from .keys import TrustedKeys
from .manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MAX_SIGNATURE_BYTES,
    SIGNATURE,
    FileEntry,
    Manifest,
    key_id,
    parse_object,
    read_manifest,
)
from .source import Source, open_source

_SIGNATURE = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle whose signature, list of files and sizes are right; contents are checked as they are read."""

    manifest: Manifest
    manifest_bytes: bytes
    signature_bytes: bytes
    source: Source

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises
        ------
        BundleError
            It is not in the bundle, or not what was signed.
        """
        return b"".join(self.blocks(path))

    def blocks(self, path: str) -> Iterator[bytes]:
        """Yield the content of a file; the last step raises BundleError where it is not what was signed."""
        entry = self.manifest.files.get(path)
        if entry is None:
            raise BundleError(f"the bundle has no {path}")
        digest, size = sha256(), 0
        for block in self.source.blocks(path):
            digest.update(block)
            size += len(block)  # a byte too many at most: the source stops there
            yield block
        _compare(entry, size, digest.hexdigest())

    def check_all(self) -> None:
        """Read every file; `BundleError` for the first that is not what was signed."""
        for path in self.manifest.files:
            for _ in self.blocks(path):
                pass

    def has(self, path: str) -> bool:
        """Tell whether a file is in the bundle."""
        return path in self.manifest.files

    def close(self) -> None:
        """Let go of the archive."""
        self.source.close()

    def __enter__(self) -> VerifiedBundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def verify(path: str | os.PathLike[str], keys: TrustedKeys) -> VerifiedBundle:
    """Check the signature of a bundle (folder or archive), then that its files are those listed, in size too.

    Raises
    ------
    SignatureError
        Not signed, or not by a key that is trusted.
    BundleError
        Not a bundle; a file is missing, on top, or of another size.
    """
    source = open_source(Path(path))
    try:
        return _verified(source, keys)
    except BaseException:
        source.close()
        raise


def _verified(source: Source, keys: TrustedKeys) -> VerifiedBundle:
    data = _small(source, MANIFEST, MAX_MANIFEST_BYTES)
    if SIGNATURE not in source.sizes:
        raise SignatureError(f"the bundle is not signed: it has no {SIGNATURE}")
    signature = _small(source, SIGNATURE, MAX_SIGNATURE_BYTES)
    signer = _check_signature(data, signature, keys)
    manifest = read_manifest(data)
    if manifest.key_id != signer:
        raise SignatureError(f"{MANIFEST} names key {manifest.key_id}, but key {signer} signed it")
    _check_files(source, manifest)
    return VerifiedBundle(manifest, data, signature, source)


def _small(source: Source, name: str, most: int) -> bytes:
    if name not in source.sizes:
        raise BundleError(f"there is no {name}: not a bundle, or truncated")
    if source.sizes[name] > most:
        raise BundleError(f"{name} has {source.sizes[name]} bytes, at most {most} are read")
    return b"".join(source.blocks(name))


def _check_signature(data: bytes, signature: bytes, keys: TrustedKeys) -> str:
    """Return the key that signed `data`."""
    try:
        fields = js.Fields(parse_object(signature, MAX_SIGNATURE_BYTES, SIGNATURE), SIGNATURE)
        fields.take("algorithm", js.one_of("ed25519"))
        signer, raw = fields.take("key_id", key_id), fields.take("signature", _hex)
        fields.end()
    except BundleError as error:
        raise SignatureError(str(error)) from None
    if not ed25519.verify(keys.find(signer), data, raw):
        raise SignatureError(
            f"the signature of key {signer} does not fit {MANIFEST}: one of them was changed"
        )
    return signer


def _hex(value: object) -> bytes:
    """Return 64 bytes; one way of writing them alone is read."""
    if not isinstance(value, str) or _SIGNATURE.fullmatch(value) is None:
        raise ValueError(f"must be 128 hex digits, got {value!r:.80}")
    return bytes.fromhex(value)


def _check_files(source: Source, manifest: Manifest) -> None:
    sizes = dict(source.sizes)
    del sizes[MANIFEST], sizes[SIGNATURE]
    missing = sorted(manifest.files.keys() - sizes.keys())
    if missing:
        raise BundleError(
            f"{missing[0]} is signed and missing ({len(missing)} in all): the bundle is truncated"
        )
    extra = sorted(sizes.keys() - manifest.files.keys())
    if extra:
        raise BundleError(
            f"{extra[0]} is not signed ({len(extra)} in all): remove it, or get the bundle anew"
        )
    for entry in manifest.files.values():
        if sizes[entry.path] != entry.bytes:
            _compare(entry, sizes[entry.path], "")


def _compare(entry: FileEntry, size: int, digest: str) -> None:
    if size != entry.bytes:
        raise BundleError(f"{entry.path} has another size than the {entry.bytes} bytes that were signed")
    if digest != entry.sha256:
        raise BundleError(f"{entry.path} is not what was signed: its sha256 differs")
