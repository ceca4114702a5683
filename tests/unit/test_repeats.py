"""Dropping repeats on the reader's side."""

import ast
import random
import sys
import tracemalloc
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stream_worker.repeats
from scoring.identifiers import derived_id
from stream_worker.repeats import BYTES_PER_ID, Repeats


class Plain:
    """The same with a set and a deque."""

    def __init__(self, capacity: int) -> None:
        self.ids: set[str] = set()
        self._order: deque[str] = deque()
        self._capacity = capacity

    def first(self, event_id: str) -> bool:
        """Whether the id is new."""
        if event_id in self.ids:
            return False
        if len(self._order) == self._capacity:
            self.ids.remove(self._order.popleft())
        self.ids.add(event_id)
        self._order.append(event_id)
        return True


# Few homes in the table, so that ids stand in each other's way and wrap around its end.
_CROWDED = st.integers(0, 40).map(lambda n: f"{n % 3 + 2**64 - 2 & 2**64 - 1:016x}{n:016x}")
_ANY = st.one_of(_CROWDED, st.integers(0, 30).map(lambda n: derived_id(str(n))), st.text())


@given(st.integers(1, 9), st.lists(_ANY, max_size=200))
def test_it_tells_what_a_set_and_a_deque_tell(capacity: int, ids: list[str]) -> None:
    """Any ids in any order: the same verdicts, size and members at every step."""
    repeats, plain = Repeats(capacity), Plain(capacity)
    for event_id in ids:
        assert (event_id in repeats) == (event_id in plain.ids)
        assert repeats.first(event_id) == plain.first(event_id)
        assert len(repeats) == len(plain.ids)
        assert all(known in repeats for known in plain.ids)


def test_a_long_stream_through_a_small_window() -> None:
    """Ids far beyond the capacity, with repeats at many distances."""
    chance = random.Random(7)
    repeats, plain = Repeats(1000), Plain(1000)
    for number in range(20_000):
        event_id = derived_id(str(max(0, number - chance.choice((0, 0, 1, 900, 1100)))))
        assert repeats.first(event_id) == plain.first(event_id)


@pytest.mark.parametrize("other", ["AB" * 16, " ab" * 10 + "ab", "g" * 32, "é" * 32, ""])
def test_ids_that_look_alike_are_different(other: str) -> None:
    """Only 32 lower-case digits stand for 16 bytes."""
    repeats = Repeats(10)
    assert repeats.first("ab" * 16)
    assert repeats.first(other)
    assert not repeats.first(other)


def test_memory_is_what_it_says() -> None:
    """A full window, and any number of ids beyond it, take 24 bytes per id."""
    capacity = 1 << 16
    tracemalloc.start()
    try:
        repeats = Repeats(capacity)
        for number in range(capacity + 1000):
            repeats.first(f"{number * 0x9E3779B97F4A7C15 & 2**64 - 1:016x}{number:016x}")
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(repeats) == capacity
    assert capacity * BYTES_PER_ID <= used < capacity * BYTES_PER_ID + 10_000


def test_a_window_holds_something() -> None:
    """A capacity of 0 is an error."""
    with pytest.raises(ValueError, match="at least 1"):
        Repeats(0)


def test_the_file_can_be_copied() -> None:
    """It imports nothing but the standard library."""
    tree = ast.parse(Path(stream_worker.repeats.__file__).read_text())
    names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert {str(name).partition(".")[0] for name in names} <= sys.stdlib_module_names
