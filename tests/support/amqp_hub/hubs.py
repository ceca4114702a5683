"""Hubs and their partitions: what was sent, in order, with what the service adds to it."""

import struct
import time
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from tests.support.amqp_hub.journal import Journal
from tests.support.amqp_hub.messages import ENQUEUED_TIME, OFFSET, SEQUENCE_NUMBER, Content
from tests.support.amqp_hub.values import Timestamp

_EVENT = struct.Struct(">qqqII")
_PLACE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Event:
    """A kept event: its place, the milliseconds since 1970 when it came, its encoded sections.

    `rest` is everything but the header, annotations first. Offsets grow by the bytes of the events,
    so that nobody can take one for a sequence number.
    """

    sequence_number: int
    offset: int
    enqueued_milliseconds: int
    header: bytes
    rest: bytes

    def packed(self) -> bytes:
        """The event as the journal keeps it."""
        place = (self.sequence_number, self.offset, self.enqueued_milliseconds)
        return _EVENT.pack(*place, len(self.header), len(self.rest)) + self.header + self.rest


class Partition:
    """The events of one partition: in memory, and in the journal if there is one."""

    def __init__(self, journal: Journal | None) -> None:
        self.events: list[Event] = []
        self.readers: set[Callable[[], None]] = set()
        self._journal = journal
        if journal is not None:
            for body in journal.bodies:
                self.events += _unpacked(body)
            journal.bodies.clear()

    @property
    def last(self) -> Event:
        """The last event; where there is none, one before all others."""
        return self.events[-1] if self.events else Event(-1, -1, 0, b"", b"")

    def append(self, contents: Sequence[Content]) -> None:
        """Keep all or nothing, then call the readers. What returns is kept."""
        events = self._placed(contents)
        if self._journal is not None:
            self._journal.append(b"".join(event.packed() for event in events))
        self.events += events
        for reader in tuple(self.readers):
            reader()

    def first_after(self, attribute: str, value: int, *, inclusive: bool) -> int:
        """The index of the first event whose attribute is above a value, or equals it."""
        find = bisect_left if inclusive else bisect_right
        return find(self.events, value, key=lambda event: getattr(event, attribute))

    def _placed(self, contents: Sequence[Content]) -> list[Event]:
        events, last = [], self.last
        now = max(time.time_ns() // 1_000_000, last.enqueued_milliseconds)
        for content in contents:
            size = len(last.header) + len(last.rest) + _PLACE_BYTES
            offset = last.offset + size if last.offset >= 0 else 0
            number = last.sequence_number + 1
            added = {
                SEQUENCE_NUMBER: number,
                OFFSET: str(offset),
                ENQUEUED_TIME: Timestamp(now),
            }
            last = Event(number, offset, now, content.header, content.annotated(added))
            events.append(last)
        return events


class Hub:
    """A hub: its partitions, and which of them takes an event."""

    def __init__(self, name: str, partitions: Sequence[Partition]) -> None:
        self.name = name
        self.partitions = partitions
        self.created_milliseconds = time.time_ns() // 1_000_000
        self._turns = count()

    def choose(self, partition_key: str | None) -> Partition:
        """The same partition for the same key; without a key each in turn.

        The service's hash is another one: which partition a key has here says nothing of there.
        """
        number = next(self._turns) if partition_key is None else zlib.crc32(partition_key.encode())
        return self.partitions[number % len(self.partitions)]


def open_hubs(
    names: Sequence[str], partitions: int, open_journal: Callable[[str, int], Journal | None]
) -> dict[str, Hub]:
    """Hubs by name, with what their journals hold."""
    return {
        name: Hub(name, [Partition(open_journal(name, i)) for i in range(partitions)])
        for name in names
    }


def _unpacked(body: bytes) -> list[Event]:
    events, at = [], 0
    while at < len(body):
        number, offset, milliseconds, header, rest = _EVENT.unpack_from(body, at)
        at += _EVENT.size
        sections = body[at : at + header], body[at + header : at + header + rest]
        events.append(Event(number, offset, milliseconds, *sections))
        at += header + rest
    return events
