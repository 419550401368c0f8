"""Signing keys: made once, read by their owner alone, named by their public half."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.bundle.keys import SigningKey, key_id_of, new_key, read_key, trusted_keys, write_key
from edge.errors import KeyFileError
from edge.runtime.ed25519 import verify
from edge.runtime.keys import read_keys

# RFC 8032, 7.1, test 2: secret, public, message, signature.
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def private_pem(key, password: bytes | None = None) -> bytes:
    secret = pem.NoEncryption() if password is None else pem.BestAvailableEncryption(password)
    return key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, secret)


def stored(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_a_signature_is_that_of_the_rfc():
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(SECRET))
    assert key.public == PUBLIC
    assert key.sign(b"\x72") == SIGNATURE
    assert key.key_id == hashlib.sha256(PUBLIC).hexdigest()[:16] == key_id_of(PUBLIC)


def test_what_is_written_is_read_and_the_device_reads_the_other_half(tmp_path):
    key, private, trusted = write_key(tmp_path / "new" / "keys")
    again = read_key(private)
    assert again.public == key.public
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert read_keys(trusted.read_bytes()).find(key.key_id) == key.public
    found = json.loads(trusted.read_text())["keys"]
    assert found == [{"key_id": key.key_id, "public_key": key.public.hex(), "revoked": False}]
    assert verify(bytes.fromhex(found[0]["public_key"]), b"message", again.sign(b"message"))
    assert not verify(bytes.fromhex(found[0]["public_key"]), b"messagf", again.sign(b"message"))


def test_the_mode_holds_from_the_first_moment(tmp_path):
    before = os.umask(0)
    try:
        _, private, _ = write_key(tmp_path / "k")
    finally:
        os.umask(before)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["signing-key.pem", "keys.json"])
def test_a_key_is_never_written_over(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(KeyFileError, match="never written over"):
        write_key(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "signing-key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="never written over"):
        write_key(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_two_keys_differ():
    assert new_key().public != new_key().public


def test_a_key_does_not_show_itself():
    key = new_key()
    assert key.private.private_bytes_raw().hex() not in repr(key)
    assert repr(key) == f"SigningKey({key.key_id})"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_read_is_refused(tmp_path, mode):
    path = stored(tmp_path / "k.pem", private_pem(Ed25519PrivateKey.generate()), mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", "no private key"),
        (b"x" * 20_000, "no key file"),
        (private_pem(Ed25519PrivateKey.generate(), b"secret"), "encrypted"),
        (private_pem(ed448.Ed448PrivateKey.generate()), "another kind"),
        (private_pem(ec.generate_private_key(ec.SECP256R1())), "another kind"),
        (
            Ed25519PrivateKey.generate()
            .public_key()
            .public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo),
            "no private key",
        ),
    ],
    ids=["empty", "nonsense", "large", "encrypted", "ed448", "ec", "public"],
)
def test_what_is_no_key_is_named(tmp_path, data, words):
    with pytest.raises(KeyFileError, match=words):
        read_key(stored(tmp_path / "k.pem", data))


def test_a_key_that_is_not_there_is_named(tmp_path):
    with pytest.raises(KeyFileError, match=r"absent\.pem cannot be read: No such file"):
        read_key(tmp_path / "absent.pem")
    with pytest.raises(KeyFileError, match="cannot be read: Is a directory"):
        read_key(tmp_path)


def test_several_keys_are_trusted_in_one_file():
    one, two = new_key(), new_key()
    found = json.loads(trusted_keys(one.public, two.public))["keys"]
    assert [entry["key_id"] for entry in found] == [one.key_id, two.key_id]
