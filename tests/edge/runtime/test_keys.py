import json

import pytest

from edge.runtime.errors import BundleError
from edge.runtime.keys import one_key, read_keys
from tests.edge.runtime.bundles import KEY, OTHER, keys_json


def test_what_is_written_is_read_again():
    keys = read_keys(keys_json(KEY, OTHER, revoked=(OTHER,)))
    assert read_keys(keys.to_bytes()) == keys
    assert keys.find(KEY.id) == KEY.public


def test_what_one_side_revokes_stays_revoked():
    ours, theirs = read_keys(keys_json(KEY, revoked=(KEY,))), read_keys(keys_json(KEY, OTHER))
    for merged in (ours.merged(theirs), theirs.merged(ours)):
        assert merged.keys[KEY.id].revoked
        assert not merged.keys[OTHER.id].revoked


@pytest.mark.parametrize(
    "row",
    [
        {"key_id": OTHER.id}, {"public_key": "00"}, {"public_key": "zz" * 32}, {"revoked": 0},
        {"revoked": None}, {"x": 1},
        {"public_key": "01" + "00" * 31, "key_id": "a" * 16}, {"public_key": "02" + "00" * 31},
    ],
)  # fmt: skip
def test_a_key_that_is_none_is_refused(row):
    good = {"key_id": KEY.id, "public_key": KEY.public.hex(), "revoked": False}
    with pytest.raises(BundleError):
        read_keys(json.dumps({"keys": [good | row]}).encode())


def test_a_key_twice_is_refused():
    with pytest.raises(BundleError, match="twice"):
        read_keys(keys_json(KEY, KEY))


@pytest.mark.parametrize("key", [b"", bytes(31), " ", "xyz", (1).to_bytes(32, "little")], ids=repr)
def test_a_public_key_that_is_none_is_refused(key):
    with pytest.raises(BundleError, match="no ed25519 public key"):
        one_key(key)
