"""How a worker takes part."""

from __future__ import annotations

from pipelines.log.protocol import Membership


def test_no_two_workers_share_the_name_of_their_transactions():
    pairs = [("a", "b-c"), ("a-b", "c"), ("a-1", "b"), ("a", "1-b"), ("a-b-1", "c"), ("a", "b-1-c")]
    assert len({Membership(group, instance).transactional_id for group, instance in pairs}) == len(pairs)
