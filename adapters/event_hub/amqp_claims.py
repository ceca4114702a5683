"""What the SDK's event processor tells of partitions, as claims for the taker."""

import logging
from collections.abc import Callable, Sequence

from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.exceptions import EventHubError

from adapters.event_hub.amqp_checkpoints import GroupStore
from adapters.event_hub.amqp_errors import condition, in_a_line
from adapters.event_hub.amqp_events import received
from adapters.event_hub.amqp_holds import Hold, Holds
from adapters.event_hub.amqp_troubles import Troubles
from adapters.event_hub.ports import Claim, Taker
from scoring.errors import ConfigurationError, TrilaneError

_STOLEN = "link:stolen"

logger = logging.getLogger(__name__)


class AmqpClaims:
    """The partitions of this member. `given`, `take`, `taken_away` and `failed` are the handlers of
    the SDK's `receive_batch`.
    """

    def __init__(
        self,
        hub: str,
        max_records: int,
        store: GroupStore,
        taker: Taker,
        round_failed: Callable[[Exception], None],
        clock: Callable[[], float],
    ) -> None:
        """`round_failed` is told why the partitions could not be shared out for now; `clock` counts
        seconds from anywhere.
        """
        self.leaving = False
        """Whether this member takes no more partitions."""
        self.holds = Holds()
        self._hub = hub
        self._max_records = max_records
        self._store = store
        self._taker = taker
        self._round_failed = round_failed
        self._clock = clock
        self._reading, self._asking = Troubles(hub, clock), Troubles(hub, clock)

    async def given(self, context: PartitionContext) -> None:
        """A partition is this member's."""
        old = self.holds.get(context.partition_id)
        if old is not None:  # the SDK lost it without a word
            await self._release(old)
        if self.leaving:
            return
        claim = Claim(self._hub, int(context.partition_id))
        checkpoint = self._store.checkpoints.get(context.partition_id)
        self.holds.add(Hold(claim, context, checkpoint, self._clock))
        self._taker.claimed([claim])

    async def take(self, context: PartitionContext, events: Sequence[EventData]) -> None:
        """Events of a partition, or none for a while. The SDK waits for it, and goes on with other
        partitions.
        """
        hold = self.holds.get(context.partition_id)
        if hold is None:
            return
        if not events:
            hold.hear()
            return
        self._reading.over(context.partition_id)
        claim, fresh = hold.claim, hold.fresh(events)
        hold.giving = True
        try:
            for start in range(0, len(fresh), self._max_records):
                piece = fresh[start : start + self._max_records]
                hold.give(piece)
                found = [received(claim.hub, claim.partition, event) for event in piece]
                await self._taker.take(claim, found)
        finally:
            hold.giving = False
            hold.hear()

    async def taken_away(self, context: PartitionContext, _: CloseReason) -> None:
        """The SDK gives a partition back when this returns, or another member has it already."""
        hold = self.holds.get(context.partition_id)
        if hold is None:
            return
        if not (self.leaving or hold.interrupted):
            hold.claim.closing = hold.claim.lost = True
        await self._release(hold)

    async def failed(self, context: PartitionContext | None, error: Exception) -> None:
        """A round failed, or a partition: that one is closed and can be claimed again."""
        if context is None:
            said = {"event": "round", "hub": self._hub, "error": in_a_line(error)}
            logger.warning("partitions cannot be shared out for now", extra=said)
            self._round_failed(error)
            return
        hold, stolen = self.holds.get(context.partition_id), condition(error) == _STOLEN
        if hold is not None:
            hold.interrupted = not stolen
        if stolen or self.leaving:
            return
        said = {"hub": self._hub, "partition": context.partition_id, "error": in_a_line(error)}
        logger.warning("a partition is not read for now", extra={"event": "interrupted", **said})
        hopeless = self._reading.failed(context.partition_id, error)
        if hopeless is not None:
            self.fail(hopeless)

    async def ask(self, client: EventHubConsumerClient, hold: Hold) -> None:
        """Ask the hub where a partition ends. Raises the client's errors.

        When a receiver is refused, because the consumer group does not exist or reading is not
        allowed, the SDK tries again for ever and says nothing; that is found out here.
        """
        try:
            properties = await client.get_partition_properties(hold.partition_id)
        except BaseException as error:  # cancelled, too: it did not answer in time
            hold.untold()
            if isinstance(error, EventHubError):
                hopeless = self._asking.failed(hold.partition_id, error)
                if hopeless is not None:
                    self.fail(hopeless)
            raise
        self._asking.over(hold.partition_id)
        hold.told(properties)
        if hold.deaf:
            self.fail(
                ConfigurationError(
                    f"partition {hold.partition_id} of {self._hub} cannot be read, although the hub"
                    " answers: the consumer group must exist, and reading must be allowed"
                )
            )

    async def release(self) -> None:
        """All of them, because this member leaves."""
        self.leaving = True
        holds = list(self.holds)
        if holds:
            await self._taker.release([hold.claim for hold in holds])

    def forget(self) -> None:
        """They are released, or somebody else's by now."""
        for hold in self.holds:
            self.holds.remove(hold)

    def fail(self, error: TrilaneError) -> None:
        """Tell the taker."""
        if not self.leaving:
            self._taker.fail(error)

    async def _release(self, hold: Hold) -> None:
        await self._taker.release([hold.claim])
        self.holds.remove(hold)
