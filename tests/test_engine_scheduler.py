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
