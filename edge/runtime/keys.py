"""keys.json: the public keys that a device trusts, and those that it trusts no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from . import ed25519
from . import strict_json as js
from .digests import sha256
from .errors import BundleError, SignatureError
from .manifest import key_id as read_key_id
from .manifest import parse_object

# A key is 200 bytes.
MAX_KEYS_BYTES: Final = 64 << 10
MAX_KEYS: Final = 256


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """One public key, 32 bytes; a revoked one signs nothing any more, whenever it signed it."""

    public_key: bytes
    revoked: bool = False

    @property
    def key_id(self) -> str:
        """First 16 hex digits of the key's sha256."""
        return sha256(self.public_key).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Keys by id."""

    keys: Mapping[str, TrustedKey]

    def find(self, key_id: str) -> bytes:
        """Return the public key of `key_id`; `SignatureError` where it is unknown or revoked."""
        found = self.keys.get(key_id)
        if found is None:
            known = ", ".join(sorted(self.keys)) or "none"
            raise SignatureError(f"the bundle is signed by key {key_id}, which is not trusted here ({known})")
        if found.revoked:
            raise SignatureError(f"the bundle is signed by key {key_id}, which is revoked")
        return found.public_key

    def merged(self, other: TrustedKeys) -> TrustedKeys:
        """Return the keys of both; what one of them revokes is revoked."""
        keys = dict(self.keys)
        for key_id, key in other.keys.items():
            known = keys.get(key_id, key)
            keys[key_id] = TrustedKey(key.public_key, known.revoked or key.revoked)
        return TrustedKeys(keys)

    def to_bytes(self) -> bytes:
        """Return the content of keys.json."""
        rows = [
            {"key_id": key_id, "public_key": key.public_key.hex(), "revoked": key.revoked}
            for key_id, key in sorted(self.keys.items())
        ]
        return js.dumps({"keys": rows}) + b"\n"


def one_key(public_key: bytes | str) -> TrustedKeys:
    """Return trust in a single key: 32 bytes, or their 64 hex digits.

    Raises
    ------
    BundleError
        It is no ed25519 public key.
    """
    key = TrustedKey(_public(public_key.hex() if isinstance(public_key, bytes) else public_key.strip()))
    return TrustedKeys({key.key_id: key})


def read_keys(data: bytes) -> TrustedKeys:
    """Parse keys.json; `BundleError` names what is wrong with it."""
    fields = js.Fields(parse_object(data, MAX_KEYS_BYTES, "keys.json"), "keys.json")
    keys = fields.take("keys", js.many(_key, MAX_KEYS))
    fields.end()
    found = {key.key_id: key for key in keys}
    if len(found) < len(keys):
        raise BundleError("keys.json lists a key twice; leave one, revoked or not")
    return TrustedKeys(found)


def _key(value: object) -> TrustedKey:
    fields = js.Fields(value, "a key of keys.json")
    key_id = fields.take("key_id", read_key_id)
    key = TrustedKey(_public(fields.take("public_key", js.text)), fields.take("revoked", js.flag))
    fields.end()
    if key.key_id != key_id:
        raise BundleError(f"keys.json: key_id {key_id} belongs to another key; this one is {key.key_id}")
    return key


def _public(digits: str) -> bytes:
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    point = ed25519.decode(raw) if len(raw) == ed25519.KEY_BYTES else None
    if point is None or ed25519.is_small(point):
        raise BundleError(f"{digits!r:.80} is no ed25519 public key: 32 bytes, 64 hex digits")
    return raw
