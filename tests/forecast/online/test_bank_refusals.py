"""What a bank refuses: it says why, and nothing moves."""

import numpy as np
import pytest

from forecast.errors import InputError
from forecast.online.bank import Bank
from tests.forecast.online.bank_models import GIVEN, NAN, build
from tests.forecast.online.driven_bank import Driven, same


@pytest.mark.parametrize("bad", [NAN, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("name", GIVEN)
def test_a_regressor_that_is_of_no_use_is_refused_and_nothing_moves(name, bad):
    driven = Driven(["arx", "ar"])
    before = driven.bank.dump(driven.slots)
    now, _ = driven.exog([(0, 0, 1.0), (1, 0, 1.0), (0, 0, 1.0)])
    now[name][2] = bad
    at = driven.slots[[0, 1, 0]]
    assert driven.bank.lacking(at, now).tolist() == [False, False, True]
    with pytest.raises(InputError, match="tick 2 needs the regressors"):
        driven.bank.step(at, [0] * 3, [1.0] * 3, now)
    with pytest.raises(InputError, match="needs the regressors"):
        driven.bank.step(at, [0] * 3, [1.0] * 3)
    with pytest.raises(InputError, match="needs the regressors"):
        driven.bank.advance(at[:1], [[1.0]])
    with pytest.raises(InputError, match="needs the regressors"):
        driven.bank.skip(at[:1], [200])
    same(driven.bank.dump(driven.slots), before)
    with pytest.raises(InputError, match="shape"):
        driven.bank.step(at, [0] * 3, [1.0] * 3, {"a": [1.0], "b": [1.0]})


def test_states_of_another_model_are_refused_and_nothing_changes():
    driven = Driven(["ar", "no value"])
    bank, slots = driven.bank, driven.slots
    data, ends = bank.dump(slots)
    bank.load(slots, data, ends)
    for i, bad in ((2, np.inf), (2, NAN), (0, 1.5), (0, -1.0), (1, 2.0), (0, NAN)):
        wrong = data.copy()
        wrong[i] = bad
        with pytest.raises(InputError, match="state of slot"):
            bank.load(slots, wrong, ends)
    for part, bounds in ((data[:-1], ends), (data, ends + 1), (data, ends[::-1]), (np.r_[data, 0.0], ends)):
        with pytest.raises(InputError, match="length"):
            bank.load(slots, part, bounds)
    with pytest.raises(InputError, match="1 slots, but"):
        bank.load(slots[:1], data, ends)
    same(bank.dump(slots), (data, ends))


def test_a_request_without_a_meaning_is_refused():
    records = build("ar")
    for h in (0, 1.5, 10_001, True):
        with pytest.raises(InputError, match="horizon"):
            Bank(records, h)
    with pytest.raises(InputError, match="level"):
        Bank(records, 1, (100,))
    bank = Bank(records, 1)
    slots = bank.add([0])
    for ask in (
        lambda: bank.add([1]), lambda: bank.add([-1]), lambda: bank.add([0.5]), lambda: bank.t([1]),
        lambda: bank.t([-1]), lambda: bank.t([[0]]), lambda: bank.t([10**6]), lambda: bank.remove([0, 0]),
        lambda: bank.step(slots, [-1], [1.0]), lambda: bank.step(slots, [0, 0], [1.0]),
        lambda: bank.step(slots, [0], [1.0, 2.0]), lambda: bank.step(slots, [0], ["a"]),
        lambda: bank.skip(slots, [5]), lambda: bank.skip(slots, [2**60]), lambda: bank.skip(slots, []),
        lambda: bank.advance(slots, [1.0]), lambda: bank.advance(slots, [[1.0]], [2]),
    ):  # fmt: skip
        with pytest.raises(InputError):
            ask()
    assert bank.t(slots).tolist() == [100]
