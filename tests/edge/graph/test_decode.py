"""Packing of codes, and what a file stores of them; the decoding itself is in test_model."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge.fleet import Fleet
from edge.graph.decode import packed
from edge.graph.model import forecast_model
from tests.edge.graph.fleets import coded, plain_records


def stored(data):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(data).graph.initializer}


@pytest.mark.parametrize("p", [1, 2, 5, 24])
def test_two_codes_a_byte(p):
    codes = np.random.default_rng(p).integers(-7, 8, (6, p)).astype(np.int16)
    half = (p + 1) // 2
    found = packed(codes)
    assert (found.dtype, found.shape) == (np.uint8, (6, half))
    both = np.concatenate([found & 15, found >> 4], axis=1)[:, :p].astype(int) - 8
    np.testing.assert_array_equal(both, codes)


def test_by_hand():
    assert packed(np.array([[-7, 0, 7]], dtype=np.int16)).tolist() == [[1 + 16 * 15, 8]]


@pytest.mark.parametrize("profile", ["size", "balanced"])
def test_tables_are_as_short_as_their_classes(profile):
    records = plain_records(9, 6)
    codes = coded(records, n16=2, n4=4)
    tables = stored(forecast_model(Fleet.of(records), 3, (), profile, codes))
    if profile == "size":
        shapes = {"codes": (5, 6), "fine": (3, 6), "nibbles": (4, 3)}
        np.testing.assert_array_equal(tables["codes"][2:], codes.codes[2:5])
    else:
        shapes = {"codes": (3, 6), "high": (2, 6), "fine": (2, 6), "nibbles": (4, 3)}
    for name, shape in shapes.items():
        assert tables[name].shape == shape
        assert tables[name].dtype == (np.uint8 if name == "nibbles" else np.int8)


def test_a_series_of_zeros_decodes_to_zeros():
    from tests.edge.graph.test_model import phi_of
    from tests.strategies import make_records

    records = make_records(2, phi=np.array([[0.5, 0.2], [0.0, 0.0]]))
    codes = coded(records, n16=0, n4=0)
    found = phi_of(forecast_model(Fleet.of(records), 3, (), "size", codes), np.arange(2))
    np.testing.assert_array_equal(found[codes.order == 1], 0.0)
