"""Who runs, without a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadenza.engine.scheduler import Scheduler
from cadenza.errors import OptionError


def test_first_come_first_served() -> None:
    scheduler = Scheduler(max_rows=3)
    for number, rows in enumerate([2, 1, 2, 1]):
        scheduler.add(number, rows)
    assert scheduler.admit() == [0, 1]
    scheduler.remove(1)
    assert scheduler.admit() == []  # 2 does not fit yet, and 3 must not overtake it
    scheduler.remove(0)
    assert scheduler.admit() == [2, 3]
    assert scheduler.running == [2, 3]


def test_what_is_heard_live_has_rows_of_its_own() -> None:
    scheduler = Scheduler(max_rows=6, kept_rows=2)
    for number in range(3):
        scheduler.add(number, 2)
    assert scheduler.admit() == [0, 1]  # and 2 waits, though there are rows
    scheduler.add(3, 2, live=True)
    assert scheduler.admit() == [3]
    scheduler.add(4, 2, live=True)
    assert scheduler.admit() == []
    scheduler.remove(0)
    assert scheduler.admit() == [4]  # live is first, in whichever rows are free
    scheduler.remove(3)
    assert scheduler.admit() == [2]
    with pytest.raises(OptionError, match=r"needs 5 rows.*has 4"):
        scheduler.add(5, 5)
    scheduler.add(6, 5, live=True)
    scheduler.remove(6)
    for number in (1, 2, 4):
        scheduler.remove(number)
    assert scheduler.idle


def test_a_waiting_request_can_be_removed() -> None:
    scheduler = Scheduler(max_rows=1)
    scheduler.add(1, 1)
    scheduler.add(2, 1)
    scheduler.admit()
    scheduler.remove(2)
    scheduler.remove(1)
    assert scheduler.idle and scheduler.admit() == []


def test_what_can_never_run_is_refused() -> None:
    with pytest.raises(OptionError, match=r"needs 4 rows.*has 2"):
        Scheduler(max_rows=2).add(1, 4)
    with pytest.raises(OptionError, match="not 0"):
        Scheduler(max_rows=0)
    with pytest.raises(OptionError, match="not 0"):
        Scheduler(max_rows=2, kept_rows=2)


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=30), st.integers(4, 8))
def test_rows_are_never_exceeded_and_all_run_in_order(
    arrivals: list[tuple[int, bool]], max_rows: int
) -> None:
    scheduler, started, rows = Scheduler(max_rows), [], {}
    for number, (wanted, finish_one) in enumerate(arrivals):
        rows[number] = wanted
        scheduler.add(number, wanted)
        started += scheduler.admit()
        assert sum(rows[n] for n in scheduler.running) <= max_rows
        if finish_one and scheduler.running:
            scheduler.remove(scheduler.running[0])
    while not scheduler.idle:
        started += scheduler.admit()
        scheduler.remove(scheduler.running[0])
    assert started == list(range(len(arrivals)))
