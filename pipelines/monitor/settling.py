"""Alarms of all partitions of a monitor before the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from pipelines.logs import log
from pipelines.monitor.gate import FLEET, Gate, Held, Verdict

if TYPE_CHECKING:
    from pipelines.monitor.metrics import Totals
    from pipelines.monitor.options import MonitorOptions
    from pipelines.monitor.post import Post

FEED: Final = "fleet-feed"
"""Detector of a fault of the feed that many series have at once."""


def settle(
    posts: Mapping[int, Post], options: MonitorOptions, totals: Totals, now_s: float, *, all_: bool = False
) -> None:
    """Let alarms go that have waited long enough, or all: to be recorded, and told.

    Those that are a fault of the feed together are recorded one by one, and told as one.
    """
    verdict = _judge(posts, lambda post: post.held, FLEET, options, now_s, all_)
    for number, alarms in verdict.real.items():
        posts[number].drift += alarms
        posts[number].news += alarms
    for alarms in verdict.faults.values():
        totals.add("gated", len(alarms))
    _note(posts, verdict, "alarm")
    verdict = _judge(posts, lambda post: post.held_feed, FEED, options, now_s, all_)
    for number, alarms in verdict.real.items():
        posts[number].note(alarms)
    _note(posts, verdict, "have a fault of their feed")


def _judge(
    posts: Mapping[int, Post],
    held_of: Callable[[Post], Held],
    name: str,
    options: MonitorOptions,
    now_s: float,
    all_: bool,
) -> Verdict:
    held = {number: held_of(post) for number, post in posts.items()}
    if not any(each.waiting for each in held.values()):
        return Verdict()
    active = {number: post.watch.active() for number, post in posts.items()}
    passed = {number: reached for number, (_, reached) in active.items()}
    gate = Gate(options.fleet_share, options.gate_steps, options.hold_s, name)
    return gate.judge(held, sum(n for n, _ in active.values()), passed, now_s, all_=all_)


def _note(posts: Mapping[int, Post], verdict: Verdict, what: str) -> None:
    for number, alarms in verdict.faults.items():
        posts[number].notes += alarms
    for number, alarms in verdict.fleet.items():
        posts[number].note(alarms)
        log.warning(
            "%.0f %% of the series %s together: nothing is refitted", 100.0 * alarms[0].statistic, what
        )
