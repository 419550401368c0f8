"""Threads that run one function at the same time."""

from __future__ import annotations

import threading

import pytest

from decoding.crew import Crew
from decoding.errors import ParamError


def test_all_threads_run_at_the_same_time_and_again():
    crew, meeting, seen = Crew(3), threading.Barrier(3, timeout=20), []

    def work(index):
        meeting.wait()
        seen.append(index)

    for _ in range(5):
        crew.run(work)
    assert sorted(seen) == sorted([0, 1, 2] * 5)
    crew.close()
    crew.close()


def test_one_thread_is_the_callers():
    crew, names = Crew(1), []
    crew.run(lambda index: names.append((index, threading.current_thread())))
    assert names == [(0, threading.current_thread())]
    crew.close()


def test_a_fault_is_raised_in_the_callers_thread_and_the_crew_goes_on():
    crew = Crew(2)

    def work(index):
        if index == 1:
            raise ArithmeticError("one")

    with pytest.raises(ArithmeticError, match="one"):
        crew.run(work)
    crew.run(lambda _: None)
    crew.close()


def test_no_threads_are_refused():
    with pytest.raises(ParamError, match="threads must be at least 1, got 0"):
        Crew(0)
