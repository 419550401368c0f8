import threading

import numpy as np
import pytest

from forecast.models.threads import over_rows


@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 63, 64, 129, 1000])
def test_every_row_is_visited_once(n, jobs):
    seen, lock = np.zeros(n, dtype=int), threading.Lock()

    def work(first, last):
        with lock:
            seen[first:last] += 1

    over_rows(work, n, jobs)
    assert (seen == 1).all()


def test_small_panels_stay_in_one_thread():
    names = set()
    over_rows(lambda a, b: names.add(threading.get_ident()), 63, 4)
    assert names == {threading.get_ident()}


def test_an_error_in_a_thread_comes_out():
    def work(first, last):
        if first > 0:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        over_rows(work, 1000, 2)


def test_costly_rows_are_shared_out_one_by_one():
    blocks, lock = [], threading.Lock()

    def work(first, last):
        with lock:
            blocks.append((first, last))

    over_rows(work, 3, 2, least=1)
    assert sorted(blocks) == [(0, 1), (1, 2), (2, 3)]
