"""The partitions of one member of a Kafka group, as claims."""

from collections.abc import Mapping
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition

from adapters.event_hub.kafka_headers import plain_headers
from adapters.event_hub.messages import Received
from adapters.event_hub.ports import Claim, Taker
from scoring.errors import TrilaneError

Records = tuple[ConsumerRecord[Any, Any], ...]
Taken = tuple[Claim, tuple[Received, ...]]


class KafkaClaims(ConsumerRebalanceListener):  # type: ignore[misc]
    """The partitions of this member, and how far each is committed."""

    def __init__(self) -> None:
        self.taker: Taker | None = None
        self.leaving = False
        """Whether this member takes no more partitions."""
        self._claims: dict[tuple[str, int], Claim] = {}
        self._positions: dict[Claim, int] = {}

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002
        """The group is about to distribute them anew."""
        await self.release()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """The group has given them to this member."""
        await self.release()
        if self.leaving:
            return
        claims = [Claim(p.topic, p.partition) for p in sorted(assigned)]
        self._claims = {(claim.hub, claim.partition): claim for claim in claims}
        if self.taker is not None:
            self.taker.claimed(claims)

    async def release(self) -> None:
        """All of them."""
        claims = self.all()
        if claims and self.taker is not None:
            await self.taker.release(claims)
        for claim in claims:
            claim.closing = claim.lost = True
        self._claims.clear()
        self._positions.clear()

    def fail(self, error: TrilaneError) -> None:
        """Tell the taker."""
        if self.taker is not None:
            self.taker.fail(error)

    def all(self) -> list[Claim]:
        """The claims of now."""
        return list(self._claims.values())

    def committed(self, last: Mapping[Claim, Received]) -> None:
        """Take note of a commit."""
        for claim, event in last.items():
            if self._claims.get((claim.hub, claim.partition)) is claim:
                self._positions[claim] = event.offset + 1

    def position(self, claim: Claim) -> int | None:
        """The offset after the last one committed under this claim."""
        return self._positions.get(claim)

    def sorted(self, records: Records) -> tuple[Taken, ...]:
        """Records by claim; those of a partition that is no claim are dropped."""
        found: dict[Claim, list[Received]] = {}
        for record in records:
            claim = self._claims.get((record.topic, record.partition))
            if claim is not None:
                found.setdefault(claim, []).append(received(record))
        return tuple((claim, tuple(events)) for claim, events in found.items())


def received(record: ConsumerRecord[Any, Any]) -> Received:
    """A record as the hub gave it."""
    return Received(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        plain_headers(record.headers),
    )
