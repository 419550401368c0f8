"""What a promotion leaves behind: judgements, who was told, what a refit begins from."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.errors import StoreError
from pipelines.store import NewJudgement
from tests.pipelines.store.fleets import manifest

TRAINING = {"history": "/data/history/a", "job": {"fleet": "a", "models": ["AutoAR"]}}


def test_judgements_are_kept_in_their_order(store):
    one, two = (store.add_version("a", manifest(i), "m") for i in (1, 2))
    gate = store.add_judgement("a", NewJudgement("gate", True, {"p": 0.01}, version=two, against=one))
    store.add_judgement("a", NewJudgement("parity", False, {"why": "no onnx"}, version=two.version))
    store.add_judgement("a", NewJudgement("gate", False, {"p": 0.9}, against=one))
    assert (gate.ver, gate.version, gate.against_ver, gate.against) == (2, two.version, 1, one.version)
    assert (gate.stage, gate.passed, gate.evidence, gate.job_id) == ("gate", True, {"p": 0.01}, None)
    found = store.judgements("a")
    assert [(row.stage, row.passed, row.ver) for row in found] == [
        ("gate", True, 2), ("parity", False, 2), ("gate", False, None),
    ]  # fmt: skip
    assert store.judgements("a", two) == store.judgements("a", two.version) == found[:2]
    assert store.judgements("a", one) == store.judgements("b") == []


def test_evidence_of_numpy_and_what_is_no_number(store):
    evidence = {
        "p": np.float64(0.5), "n": np.int64(3), "ok": np.True_, "losses": np.array([1.0, np.nan]),
        "worst": (float("inf"), -float("inf")), "nested": {"x": [float("nan")]}, "text": "\u00e9\x00",
    }  # fmt: skip
    store.add_version("a", manifest(), "m")
    kept = store.add_judgement("a", NewJudgement("shadow", True, evidence)).evidence
    assert kept == store.judgements("a")[0].evidence
    assert kept == {
        "p": 0.5, "n": 3, "ok": True, "losses": [1.0, None], "worst": [None, None], "nested": {"x": [None]},
        "text": "\u00e9\x00",
    }  # fmt: skip


def test_judgements_that_make_no_sense_are_refused(store):
    store.add_version("b", manifest(), "m")
    for bad, message in (
        (NewJudgement("best", True, {}), "stage 'best' is unknown; known: gate, parity"),
        (NewJudgement("gate", True, {}, version=manifest().version), "not registered for fleet 'a'"),
        (NewJudgement("gate", True, {}, against="0" * 64), "not registered for fleet 'a'"),
        (NewJudgement("gate", True, {"x": {1, 2}}), "the evidence holds a set"),
    ):
        with pytest.raises(StoreError, match=message):
            store.add_judgement("a", bad)
    assert store.judgements("a") == []


def test_who_was_told_of_a_champion(store):
    one, two = (store.add_version("a", manifest(i), "m") for i in (1, 2))
    with pytest.raises(StoreError, match="row version 0: nobody was told of 1"):
        store.set_told("a", 1, announced=True)
    store.set_champion("a", one, None)
    assert [(row.announced, row.mirrored) for row in store.champions()] == [(0, 0)]
    store.set_told("a", 1, announced=True)
    store.set_champion("a", two, 1)
    found = store.champion("a")
    assert (found.row_version, found.announced, found.mirrored) == (2, 1, 0)
    store.set_told("a", 2, announced=True, mirrored=True)
    store.set_told("a", 1, announced=True, mirrored=True)  # late, and of no use: it does not go back
    store.set_told("a", 2)
    assert [(row.announced, row.mirrored) for row in store.champions()] == [(2, 2)]
    with pytest.raises(StoreError, match="row version 2: nobody was told of 3"):
        store.set_told("a", 3, mirrored=True)


def test_champions_of_all_fleets(store):
    for fleet in ("b", "a"):
        store.set_champion(fleet, store.add_version(fleet, manifest(), "m"), None)
    store.add_version("c", manifest(), "m")
    assert [row.fleet for row in store.champions()] == ["a", "b"]
    assert store.champions()[0] == store.champion("a")


def test_a_child_begins_from_what_its_parent_did(store):
    old = store.add_version("a", manifest(0), "m")
    assert old.training is None
    whole = store.add_version("a", manifest(1), "m", training=TRAINING)
    overlay = store.add_version("a", manifest(2, parent=whole.version), "m")
    again = store.add_version("a", manifest(3, parent=overlay.version), "m")
    assert whole.training == overlay.training == again.training == TRAINING
    assert store.add_version("a", manifest(4, parent=old.version), "m").training is None
    assert store.add_version("a", manifest(1), "m") == whole  # added again without: it stays
    newer = TRAINING | {"history": "/data/history/b"}
    assert store.add_version("a", manifest(1), "m", training=newer).training == newer
    assert [row.training for row in store.versions("a")][2] == TRAINING
