"""ed25519 held to RFC 8032, to Wycheproof, and to a second implementation."""

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime import ed25519

FIXTURE = Path(__file__).parents[2] / "fixtures" / "edge" / "wycheproof_ed25519.json"

# RFC 8032, section 7.1: secret key, public key, message, signature; tests 1, 2, 3 and SHA(abc).
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]
SMALL_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_the_vectors_of_the_rfc(secret, public, message, signature):
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert key.public_key().public_bytes_raw().hex() == public  # the vectors were copied right
    assert ed25519.verify(*map(bytes.fromhex, (public, message, signature)))
    assert not ed25519.verify(*map(bytes.fromhex, (public, message + "00", signature)))


def test_the_vectors_of_wycheproof():
    document = json.loads(FIXTURE.read_text())
    assert document["columns"][:5] == ["id", "public_key", "message", "signature", "result"]
    wrong = []
    for number, public, message, signature, result, comment, _ in document["tests"]:
        found = ed25519.verify(*map(bytes.fromhex, (public, message, signature)))
        if found != {"valid": True, "invalid": False}[result]:
            wrong.append((number, comment))
    assert len(document["tests"]) == 151
    assert wrong == []


def second(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(
    seed=st.binary(min_size=32, max_size=32),
    message=st.binary(max_size=200),
    where=st.sampled_from(("public", "message", "signature", "nowhere")),
    bit=st.integers(0, 10_000),
)
def test_it_agrees_with_a_second_implementation_when_a_bit_flips(seed, message, where, bit):
    key = Ed25519PrivateKey.from_private_bytes(seed)
    parts = {
        "public": bytearray(key.public_key().public_bytes_raw()),
        "message": bytearray(message),
        "signature": bytearray(key.sign(message)),
    }
    if where != "nowhere" and parts[where]:
        parts[where][bit // 8 % len(parts[where])] ^= 1 << bit % 8
    asked = tuple(bytes(parts[name]) for name in ("public", "message", "signature"))
    assert ed25519.verify(*asked) == second(*asked)


def test_an_s_that_is_not_reduced_is_refused():
    public, message, signature = (bytes.fromhex(part) for part in RFC_8032[1][1:])
    s = int.from_bytes(signature[32:], "little") + ed25519.L
    assert s < 2**256
    assert not ed25519.verify(public, message, signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_a_key_of_small_order_signs_nothing(public):
    point = ed25519.decode(bytes.fromhex(public))
    assert point is None or ed25519.is_small(point)
    # [S]B = R + [k]A holds for S = 0, R = 0 and every message whose k A is 0.
    zero = (1).to_bytes(32, "little") + bytes(32)
    assert not any(ed25519.verify(bytes.fromhex(public), bytes([i]), zero) for i in range(16))


def test_the_base_point_is_not_small_and_has_its_order():
    assert not ed25519.is_small(ed25519.BASE)
    minus_one = ed25519._two_products(ed25519.L - 1, ed25519.BASE, 0, ed25519.BASE)
    assert ed25519.encode(minus_one) == ed25519.encode(ed25519._negated(ed25519.BASE))


@pytest.mark.parametrize("y", [ed25519.P, ed25519.P + 1, 2**255 - 1, 2])
def test_what_is_no_canonical_point_is_no_key(y):
    assert ed25519.decode(y.to_bytes(32, "little")) is None


def test_zero_has_no_sign():
    assert ed25519.decode((1 | 1 << 255).to_bytes(32, "little")) is None


@pytest.mark.parametrize("n", [0, 31, 33, 63, 65])
def test_other_lengths_are_refused(n):
    public, message, signature = (bytes.fromhex(part) for part in RFC_8032[0][1:])
    assert not ed25519.verify(public, message, (signature + b"\0" * 8)[:n])
    if n < 60:
        assert not ed25519.verify((public + b"\0" * 8)[:n], message, signature)
