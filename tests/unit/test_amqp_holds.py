"""What is known of a partition that is read over AMQP."""

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import PartitionContext

from adapters.event_hub.amqp_events import received
from adapters.event_hub.amqp_holds import (
    DEAF_SECONDS,
    PAUSED_SECONDS,
    SILENT_SECONDS,
    TRUST_SECONDS,
    Hold,
    Holds,
)
from adapters.event_hub.messages import Received
from adapters.event_hub.ports import Claim
from tests.support.amqp_events import event


class Partition:
    """A partition as the SDK shows it, a hold of it, and a clock."""

    def __init__(self, checkpoint: int | None = None) -> None:
        self.now = 1000.0
        self.context = PartitionContext("host", "hub", "group", "3")
        self.claim = Claim("hub", 3)
        self.hold = Hold(self.claim, self.context, checkpoint, lambda: self.now)

    def arrive(self, *numbers: int, last: int | None = None) -> list[Received]:
        """Events with these numbers; the fresh ones, given."""
        events = [event(number, last=last) for number in numbers]
        self.context._last_received_event = events[-1]
        fresh = self.hold.fresh(events)
        self.hold.give(fresh)
        return [received("hub", 3, data) for data in fresh]


def properties(first: int, last: int, empty: bool = False) -> dict[str, object]:
    """What the hub answers."""
    return {
        "beginning_sequence_number": first,
        "last_enqueued_sequence_number": last,
        "is_empty": empty,
    }


def test_what_was_given_is_not_fresh() -> None:
    """After a reconnect the SDK repeats events, also mixed with new ones; each comes once."""
    partition = Partition(checkpoint=4)
    assert [e.offset for e in partition.arrive(5, 6, 7)] == [5, 6, 7]
    assert [e.offset for e in partition.arrive(6, 7, 8)] == [8]
    assert partition.arrive(5, 6, 7, 8) == []
    assert [e.offset for e in partition.arrive(9, 10, 9, 10, 11)] == [9, 10, 11]


def test_the_checkpoint_decides_nothing_about_what_is_fresh() -> None:
    """Numbers begin anew when a hub is created anew; its events count all the same."""
    assert [e.offset for e in Partition(checkpoint=100).arrive(0, 1)] == [0, 1]


def test_a_checkpoint_has_the_offset_of_its_event() -> None:
    """The SDK resumes by it; one that is stored, or earlier, is not stored again."""
    partition = Partition()
    events = partition.arrive(5, 6, 7)
    assert partition.hold.checkpoint(events[1]) == {
        "fully_qualified_namespace": "host",
        "eventhub_name": "hub",
        "consumer_group": "group",
        "partition_id": "3",
        "offset": "60",
        "sequence_number": 6,
    }
    partition.hold.stored(events[1])
    assert partition.hold.checkpoint(events[1]) is None
    assert partition.hold.checkpoint(events[0]) is None
    assert partition.hold.checkpoint(events[2]) is not None


def test_offsets_are_kept_until_they_are_committed() -> None:
    """Not longer: there are as many as there are events in hand."""
    partition = Partition()
    events = partition.arrive(*range(100))
    partition.hold.stored(events[97])
    assert list(partition.hold._offsets) == [(98, "980"), (99, "990")]


def test_an_event_that_was_not_given_cannot_be_committed() -> None:
    """That is a mistake of the caller."""
    partition = Partition()
    with pytest.raises(LookupError):
        partition.hold.checkpoint(received("hub", 3, event(9)))


def test_the_lag_is_unknown_until_the_hub_was_asked() -> None:
    """Of a partition of which nothing came; it must be asked then, and not again at once."""
    partition = Partition(checkpoint=4)
    assert partition.hold.lag() is None
    assert partition.hold.must_ask()
    partition.hold.told(properties(0, 10))
    assert partition.hold.lag() == 6
    assert not partition.hold.must_ask()


@pytest.mark.parametrize(
    ("checkpoint", "answer", "lag"),
    [
        (None, properties(0, -1, empty=True), 0),
        (None, properties(0, 9), 10),
        (None, properties(40, 49), 10),
        (9, properties(0, 9), 0),
        (9, properties(40, 49), 10),
        (9, properties(50, 49, empty=True), 0),
        (9, properties(49, 49, empty=True), 0),
        (9, properties(0, 3), 0),
    ],
)
def test_the_lag_counts_what_is_retained(
    checkpoint: int | None, answer: dict[str, object], lag: int
) -> None:
    """0 when never written to, and when nothing is left; never negative."""
    partition = Partition(checkpoint)
    partition.hold.told(answer)
    assert partition.hold.lag() == lag


def test_the_lag_follows_the_events() -> None:
    """Each brings the end of its partition along; without, the end is the event itself."""
    partition = Partition()
    events = partition.arrive(5, 6, last=20)
    assert partition.hold.lag() == 16
    partition.hold.stored(events[1])
    assert partition.hold.lag() == 14
    partition.arrive(7, last=19)
    assert partition.hold.lag() == 14
    events = partition.arrive(21)
    partition.hold.stored(events[0])
    assert partition.hold.lag() == 0
    assert not partition.hold.must_ask()


def test_an_empty_partition_that_is_written_to_has_a_lag() -> None:
    """What the hub said of it before no longer counts."""
    partition = Partition()
    partition.hold.told(properties(0, -1, empty=True))
    partition.arrive(0, 1)
    assert partition.hold.lag() == 2


def test_the_hub_is_asked_while_the_taker_waits() -> None:
    """Not at once, and not without pause."""
    partition = Partition()
    partition.arrive(0)
    partition.hold.giving = True
    assert not partition.hold.must_ask()
    partition.now += PAUSED_SECONDS
    assert partition.hold.must_ask()
    partition.hold.told(properties(0, 7))
    assert not partition.hold.must_ask()
    assert partition.hold.lag() == 8
    partition.now += PAUSED_SECONDS
    partition.hold.giving = False
    assert not partition.hold.must_ask()


def test_the_hub_is_asked_now_and_then() -> None:
    """Even while events arrive, and when the SDK says that there are none."""
    partition = Partition()
    partition.arrive(0)
    partition.now += TRUST_SECONDS - SILENT_SECONDS
    partition.hold.hear()
    assert not partition.hold.must_ask()
    partition.now += SILENT_SECONDS
    partition.hold.hear()
    assert partition.hold.must_ask()


def test_a_silent_partition_is_deaf_when_the_hub_answers_for_long() -> None:
    """Not while the hub does not answer, nor once the SDK hears something again."""
    partition = Partition()
    hold = partition.hold
    hold.told(properties(0, -1, empty=True))

    def ask(seconds: float) -> bool:
        partition.now += seconds
        assert hold.must_ask()
        hold.told(properties(0, -1, empty=True))
        return hold.deaf

    assert not ask(SILENT_SECONDS)
    assert not ask(DEAF_SECONDS - 1)
    hold.hear()
    assert not ask(SILENT_SECONDS)
    assert not ask(DEAF_SECONDS - 1)
    hold.untold()
    assert not ask(SILENT_SECONDS)
    assert not ask(DEAF_SECONDS - 1)
    partition.now += 1
    assert hold.deaf


def test_a_partition_whose_taker_waits_is_not_deaf() -> None:
    """Then nobody listens."""
    partition = Partition()
    partition.arrive(0)
    partition.hold.giving = True
    for _ in range(3):
        partition.now += DEAF_SECONDS
        partition.hold.told(properties(0, 0))
        assert not partition.hold.deaf


def test_holds_are_found_by_partition_and_by_claim() -> None:
    """A claim of before is not one of now; a hold that ends marks its claim."""
    holds, partition, other = Holds(), Partition(), Partition()
    holds.add(partition.hold)
    assert list(holds) == [partition.hold]
    assert holds.get("3") is holds.of(partition.claim) is partition.hold
    assert holds.get("4") is None
    assert holds.of(other.claim) is None
    holds.add(other.hold)
    holds.remove(partition.hold)
    assert partition.claim.closing
    assert partition.claim.lost
    assert list(holds) == [other.hold]
    holds.remove(other.hold)
    assert list(holds) == []


def test_events_are_those_of_the_sdk() -> None:
    """What these tests make is what the SDK makes of a message."""
    data: EventData = event(5, b"x", last=9)
    assert (data.sequence_number, data.offset, data.body_as_str()) == (5, "50", "x")
