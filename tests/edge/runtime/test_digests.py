"""The digests are those of hashlib, wherever they come from."""

from __future__ import annotations

import hashlib
import sys
from importlib import reload

import pytest

from edge.runtime import digests


@pytest.fixture(params=["own", "openssl"])
def found(request, monkeypatch):
    if request.param == "openssl":
        for name in ("_sha2", "_sha256", "_sha512"):
            monkeypatch.setitem(sys.modules, name, None)  # as if this Python had none of them
    yield reload(digests)
    monkeypatch.undo()
    reload(digests)


@pytest.mark.parametrize("name", ["sha256", "sha512"])
@pytest.mark.parametrize("data", [b"", b"abc", bytes(range(256)) * 1000])
def test_a_digest_is_that_of_hashlib(found, name, data):
    want = hashlib.new(name, data)
    got = getattr(found, name)(data[:7])
    got.update(data[7:])
    assert got.digest() == want.digest()
    assert got.hexdigest() == want.hexdigest()


def test_the_published_digest(found):
    """FIPS 180-2, appendix B.1."""
    assert found.sha256(b"abc").hexdigest().startswith("ba7816bf8f01cfea414140de5dae2223b00361a396177a9c")
