"""What is known of each partition of one member of a consumer group over AMQP."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from azure.eventhub import EventData
from azure.eventhub.aio import PartitionContext

from adapters.event_hub.messages import Received
from adapters.event_hub.ports import Claim

PAUSED_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 15.0
"""Three times the pause after which the SDK says that there are no events."""
DEAF_SECONDS: Final = 60.0
TRUST_SECONDS: Final = 60.0


class Hold:
    """One claim: what was given of it, what was committed, and where the partition ends, all as
    sequence numbers.
    """

    def __init__(
        self,
        claim: Claim,
        context: PartitionContext,
        checkpoint: int | None,
        clock: Callable[[], float],
    ) -> None:
        """`checkpoint` is where the group left off, None when it never committed."""
        self.claim = claim
        self.partition_id: str = context.partition_id
        self.interrupted = False
        """Whether events could not be received, so that it ends, and not for another member."""
        self.giving = False
        """Whether the taker is asked to take events at the moment."""
        self._context = context
        self._clock = clock
        self._given: int | None = None
        self._stored: int | None = None
        self._offsets: deque[tuple[int, str | None]] = deque()
        self._done = checkpoint
        self._end: int | None = None
        self._empty = False
        self._heard = self._asked = clock()
        self._answered: float | None = None

    def hear(self) -> None:
        """The SDK shows that it is connected, or nobody listened until now."""
        self._heard = self._clock()
        self._answered = None

    def fresh(self, events: Sequence[EventData]) -> list[EventData]:
        """Those that were not given before: after a reconnect the SDK receives again what it had
        received and not yet given.
        """
        self.hear()
        self._empty = False
        told = self._context.last_enqueued_event_properties or {}
        ends = (self._end, told.get("sequence_number"), _number(events[-1]))
        self._end = max(end for end in ends if end is not None)
        if self._done is None:  # nothing was ever committed, and this is the earliest event
            self._done = _number(events[0]) - 1
        fresh: list[EventData] = []
        last = self._given
        for event in events:
            number = _number(event)
            if last is None or number > last:
                fresh.append(event)
                last = number
        return fresh

    def give(self, events: Sequence[EventData]) -> None:
        """These go to the taker next. Their offsets are kept until they are committed."""
        for event in events:
            self._given = _number(event)
            self._offsets.append((self._given, event.offset))

    def checkpoint(self, last: Received) -> dict[str, str | int | None] | None:
        """What to store when everything up to this event is done; None when that is stored.

        Raises LookupError when the event was not given under this claim.
        """
        if self._stored is not None and last.offset <= self._stored:
            return None
        offset = dict(self._offsets)[last.offset]
        return {
            "fully_qualified_namespace": self._context.fully_qualified_namespace,
            "eventhub_name": self._context.eventhub_name,
            "consumer_group": self._context.consumer_group,
            "partition_id": self.partition_id,
            "offset": offset,
            "sequence_number": last.offset,
        }

    def stored(self, last: Received) -> None:
        """That was done."""
        self._stored = self._done = last.offset
        while self._offsets and self._offsets[0][0] <= last.offset:
            self._offsets.popleft()

    @property
    def deaf(self) -> bool:
        """Whether the hub has been answering questions for long while the SDK heard nothing."""
        answered = self._answered
        return answered is not None and self._clock() - answered >= DEAF_SECONDS

    def must_ask(self) -> bool:
        """Whether the hub has to be asked where the partition ends: nothing is known, the taker has
        been waiting, the SDK is silent, or nobody asked for long.
        """
        now = self._clock()
        if self._end is None or self._done is None:
            return True
        patience = PAUSED_SECONDS if self.giving else SILENT_SECONDS
        return now - max(self._heard, self._asked) >= patience or now - self._asked >= TRUST_SECONDS

    def told(self, properties: dict[str, Any]) -> None:
        """What the hub says of the partition."""
        now = self._asked = self._clock()
        if self._answered is None and not self.giving and now - self._heard >= SILENT_SECONDS:
            self._answered = now
        self._empty = bool(properties["is_empty"])
        self._end = int(properties["last_enqueued_sequence_number"])
        before = int(properties["beginning_sequence_number"]) - 1
        if self._done is None or self._done < before:  # the rest was not retained
            self._done = before

    def untold(self) -> None:
        """The hub does not answer: then it is no wonder that the SDK hears nothing."""
        self._answered = None

    def lag(self) -> int | None:
        """Events that were not committed; None when that is not known."""
        if self._empty:
            return 0
        if self._end is None or self._done is None:
            return None
        return max(0, self._end - self._done)


class Holds:
    """The holds of now, by partition id."""

    def __init__(self) -> None:
        self._holds: dict[str, Hold] = {}

    def __iter__(self) -> Iterator[Hold]:
        return iter(list(self._holds.values()))

    def add(self, hold: Hold) -> None:
        """A new one."""
        self._holds[hold.partition_id] = hold

    def get(self, partition_id: str) -> Hold | None:
        """That of a partition."""
        return self._holds.get(partition_id)

    def of(self, claim: Claim) -> Hold | None:
        """That of a claim, if it is one of now."""
        hold = self._holds.get(str(claim.partition))
        return hold if hold is not None and hold.claim is claim else None

    def remove(self, hold: Hold) -> None:
        """It ended."""
        hold.claim.closing = hold.claim.lost = True
        if self._holds.get(hold.partition_id) is hold:
            del self._holds[hold.partition_id]


def _number(event: EventData) -> int:
    return event.sequence_number or 0
