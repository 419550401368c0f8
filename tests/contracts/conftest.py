"""The back ends that the contract of a log is tested on."""

from __future__ import annotations

import pytest

from tests.contracts.log_places import EmbeddedPlace, KafkaPlace, Scene

BACK_ENDS = [
    "embedded",
    pytest.param("kafka-python", marks=pytest.mark.stream),
    # What is left where the client's inner parts are not as known.
    pytest.param("kafka-python-public", marks=pytest.mark.stream),
    pytest.param("confluent", marks=pytest.mark.stream),
]


@pytest.fixture(params=BACK_ENDS)
def scene(request, tmp_path, monkeypatch):
    """A log with all that a test opens on it; closed in the end."""
    if request.param == "embedded":
        place = EmbeddedPlace(tmp_path)
    else:
        place = KafkaPlace(request.getfixturevalue("kafka_address"), request.param.removesuffix("-public"))
    if request.param.endswith("-public"):
        monkeypatch.setattr("pipelines.log.kafka.blocks.KNOWN", False)
        monkeypatch.setattr("pipelines.log.kafka.columns.KNOWN", False)
    scene = Scene(place, place.open())
    yield scene
    scene.close()
