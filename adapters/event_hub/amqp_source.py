"""Consuming over AMQP, with azure-eventhub."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore

from adapters.event_hub.amqp_checkpoints import GroupStore, open_checkpoints, stored
from adapters.event_hub.amqp_claims import AmqpClaims
from adapters.event_hub.amqp_connection import CONNECT_SECONDS, AmqpConnection
from adapters.event_hub.amqp_errors import CLIENT_ERRORS, in_a_line, translated
from adapters.event_hub.amqp_holds import Hold
from adapters.event_hub.messages import Received
from adapters.event_hub.ports import Claim, PartitionsMoved, Taker
from scoring.errors import BrokerUnavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_COMMIT_SECONDS: Final = 30.0
_LAG_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 20.0
_QUESTIONS: Final = 8
_SAY_SECONDS: Final = 5.0
"""After so long without events the SDK says so."""
_PREFETCH: Final = 300
_BATCH: Final = 500
"""The SDK keeps at most a batch and a prefetch of events per partition."""


class AmqpSource:
    """An `EventSource`: the SDK's event processor, with blobs as checkpoints.

    The SDK gives the events of a partition one batch after the other, and waits for each; other
    partitions go on meanwhile. When events cannot be received it gives the partition back, and
    claims it again in its next round, a third of a session later. A member that has too few
    partitions takes one from another without asking it; what that one had begun is done again.
    """

    def __init__(
        self,
        connection: AmqpConnection,
        hub: str,
        group: str,
        max_records: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` counts seconds from anywhere."""
        self._clock = clock
        self._connection = connection
        self._hub = hub
        self._group = group
        self._max_records = max_records
        self._credential: AsyncTokenCredential | None = None
        self._blobs: BlobCheckpointStore | None = None
        self._client: EventHubConsumerClient | None = None
        self._claims: AmqpClaims | None = None
        self._store: GroupStore | None = None
        self._receiving: asyncio.Task[None] | None = None

    async def start(self, taker: Taker) -> None:
        """See `EventSource`. Raises StorageUnavailable too."""
        try:
            await self._start(taker)
        except BaseException:
            await self.stop()
            raise
        taker.claimed([])

    async def stop(self) -> None:
        """See `EventSource`. It takes the SDK some seconds."""
        if self._claims is not None:
            await self._claims.release()
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            receiving.cancel()
            await asyncio.wait({receiving}, timeout=_STOP_SECONDS)
        if self._claims is not None:
            self._claims.forget()
        for closing in (self._client, self._blobs, self._credential):
            if closing is not None:
                with suppress(*CLIENT_ERRORS):  # it leaves anyway
                    async with asyncio.timeout(_STOP_SECONDS):
                        await closing.close()
        self._client = self._blobs = self._credential = None

    async def commit(self, last: Mapping[Claim, Received]) -> None:
        """See `EventSource`. Raises StorageUnavailable when it was not confirmed in time.

        Of several claims those that moved are marked lost, and the others are committed.
        """
        mine = {claim: event for claim, event in last.items() if not claim.lost}
        holds = {claim: self._hold(claim) for claim in mine}
        for claim, hold in holds.items():
            if hold is None:
                claim.closing = claim.lost = True
        found = [(hold, mine[claim]) for claim, hold in holds.items() if hold is not None]
        if mine and not found:
            raise PartitionsMoved("the partitions moved to another worker")
        with stored(self._connection.checkpoint_container):
            async with asyncio.timeout(_COMMIT_SECONDS):
                commits = (self._commit(hold, event) for hold, event in found)
                results = await asyncio.gather(*commits, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    async def lag(self) -> Mapping[Claim, int]:
        """See `EventSource`. Where a partition ends is what came with its last event, as long as
        events are taken; else the hub is asked.
        """
        claims, client = self._claims, self._client
        if claims is None or client is None:
            return {}
        holds, turns = list(claims.holds), asyncio.Semaphore(_QUESTIONS)

        async def ask(hold: Hold) -> None:
            async with turns:
                await claims.ask(client, hold)

        with translated(self._connection):
            async with asyncio.timeout(_LAG_SECONDS):
                await asyncio.gather(*(ask(hold) for hold in holds if hold.must_ask()))
        lags = {hold.claim: hold.lag() for hold in holds}
        return {claim: lag for claim, lag in lags.items() if lag is not None}

    async def _start(self, taker: Taker) -> None:
        self._credential = self._connection.credential()
        self._blobs = await open_checkpoints(self._connection, self._credential)
        joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def looked() -> None:
            if not joined.done():
                joined.set_result(None)

        def failed(error: Exception) -> None:
            if not joined.done():
                joined.set_exception(error)

        self._store = GroupStore(self._blobs, looked)
        self._claims = AmqpClaims(
            self._hub, self._max_records, self._store, taker, failed, self._clock
        )
        self._client = self._connection.consumer(
            self._hub, self._group, self._credential, self._store
        )
        with translated(self._connection, connecting=True):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._client.get_eventhub_properties()
                self._receiving = asyncio.create_task(self._receive(self._client, self._claims))
                with stored(self._connection.checkpoint_container, opening=True):
                    await joined

    async def _receive(self, client: EventHubConsumerClient, claims: AmqpClaims) -> None:
        """Until cancelled. Fails the taker when it ends otherwise."""
        try:
            await client.receive_batch(
                claims.take,
                max_batch_size=min(self._max_records, _BATCH),
                max_wait_time=_SAY_SECONDS,
                prefetch=_PREFETCH,
                track_last_enqueued_event_properties=True,
                starting_position="-1",
                on_partition_initialize=claims.given,
                on_partition_close=claims.taken_away,
                on_error=claims.failed,
            )
        except Exception as error:
            claims.fail(BrokerUnavailable(f"events cannot be received: {in_a_line(error)}"))

    def _hold(self, claim: Claim) -> Hold | None:
        return None if self._claims is None else self._claims.holds.of(claim)

    async def _commit(self, hold: Hold, last: Received) -> None:
        checkpoint = hold.checkpoint(last)
        if checkpoint is not None and self._store is not None:
            await self._store.update_checkpoint(checkpoint)
            hold.stored(last)
