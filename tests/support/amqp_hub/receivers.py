"""Receivers of a partition: where they begin, what they get, and who must leave for whom.

One receiver with an epoch reads a partition for a consumer group; a newer one whose epoch is not
lower takes its place. Without an epoch up to five read side by side, as long as none has one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.amqp_hub.attach import Attach
from tests.support.amqp_hub.codec import described, encode
from tests.support.amqp_hub.frames import AmqpError
from tests.support.amqp_hub.hubs import Partition
from tests.support.amqp_hub.messages import DELIVERY_ANNOTATIONS
from tests.support.amqp_hub.selector import first_index
from tests.support.amqp_hub.values import Symbol, Timestamp

EPOCH = "com.microsoft:epoch"
RUNTIME_METRIC = "com.microsoft:enable-receiver-runtime-metric"
MAX_RECEIVERS = 5
STOLEN = "amqp:link:stolen"


class Cursor:
    """Gives the events of a partition from a place on, as messages."""

    def __init__(self, partition: Partition, attach: Attach) -> None:
        self._partition = partition
        self._index = first_index(partition, attach.filters)
        self._metric = RUNTIME_METRIC in attach.capabilities

    def following(self) -> bytes | None:
        """The next message, None where the partition ends."""
        if self._index >= len(self._partition.events):
            return None
        event = self._partition.events[self._index]
        self._index += 1
        return event.header + (self._metrics() if self._metric else b"") + event.rest

    def _metrics(self) -> bytes:
        last = self._partition.last
        values: dict[Any, Any] = {
            Symbol("last_enqueued_sequence_number"): last.sequence_number,
            Symbol("last_enqueued_offset"): str(last.offset),
            Symbol("last_enqueued_time_utc"): Timestamp(last.enqueued_milliseconds),
            Symbol("runtime_info_retrieval_time_utc"): Timestamp(time.time_ns() // 1_000_000),
        }
        return described(DELIVERY_ANNOTATIONS, encode(values))


@dataclass(eq=False, slots=True)
class _Seat:
    epoch: int | None
    disconnect: Callable[[AmqpError], None]


@dataclass
class Seats:
    """Who reads: seats by hub, consumer group and partition."""

    taken: dict[tuple[str, str, int], list[_Seat]] = field(default_factory=dict)

    def take(
        self,
        place: tuple[str, str, int],
        epoch: int | None,
        disconnect: Callable[[AmqpError], None],
    ) -> Callable[[], None]:
        """Sit down, disconnecting who must leave; returns how to leave. Raises AmqpError."""
        seats = self.taken.setdefault(place, [])
        epochs = [seat.epoch for seat in seats if seat.epoch is not None]
        if epoch is None and epochs:
            raise AmqpError(
                STOLEN,
                f"At least one receiver for the endpoint is created with epoch of '{epochs[0]}', "
                "and so non-epoch receiver is not allowed.",
            )
        if epoch is None and len(seats) >= MAX_RECEIVERS:
            raise AmqpError(
                "amqp:resource-limit-exceeded",
                f"Exceeded the maximum number of allowed receivers per partition in a consumer "
                f"group which is {MAX_RECEIVERS}.",
            )
        if epoch is not None and epochs and max(epochs) > epoch:
            raise AmqpError(
                STOLEN,
                f"Receiver 'nil' with a higher epoch '{max(epochs)}' already exists. "
                f"Receiver 'nil' with epoch {epoch} cannot be created.",
            )
        if epoch is not None:
            _clear(seats, epoch)
        seat = _Seat(epoch, disconnect)
        seats.append(seat)

        def leave() -> None:
            if seat in seats:
                seats.remove(seat)

        return leave


def _clear(seats: list[_Seat], epoch: int) -> None:
    for seat in tuple(seats):
        seat.disconnect(
            AmqpError(
                STOLEN,
                f"New receiver 'nil' with higher epoch of '{epoch}' is created hence current "
                f"receiver 'nil' with epoch '{seat.epoch}' is getting disconnected.",
            )
        )
