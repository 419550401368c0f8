"""Who is in a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pipelines.log.confluent.faults import fault, reason
from pipelines.log.confluent.topics import ANSWERS_WITHIN_S
from pipelines.log.protocol import Membership


class Groups:
    """What brokers know of groups; asked so seldom that every question has a client of its own."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)

    def displaced(self, membership: Membership, member_id: str | None) -> bool:
        """Tell whether a member's place in its group is another's now.

        Raises
        ------
        LogError
            The brokers do not answer.
        """
        holder = self._holder(membership.group, membership.instance)
        return bool(member_id) and holder is not None and holder != member_id

    def _holder(self, group: str, instance: str) -> str | None:
        """Return the id of the member that has an instance's place."""
        admin = AdminClient(self._settings)
        answers = admin.describe_consumer_groups([group], request_timeout=ANSWERS_WITHIN_S)
        try:
            members = answers[group].result().members
        except KafkaException as error:
            raise fault(f"asking who is in group {group!r}", reason(error)) from error
        for member in members:
            if member.group_instance_id == instance:
                return str(member.member_id)
        return None
