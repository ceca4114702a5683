"""Whatever fails and whenever partitions move: nothing is lost, skipped or committed too early."""

import asyncio
import dataclasses
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from adapters.event_hub.messages import Outgoing, Received
from adapters.event_hub.ports import Claim, PartitionsMoved
from scoring.errors import BrokerUnavailable, StorageUnavailable
from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from stream_worker.pipeline import PUBLISHED_BATCHES
from tests.support.broker import MemoryLog, MemoryWriter
from tests.support.stream_rig import NOW, Rig, TestedSource, batch
from tests.support.toy import load_toy

PARTITIONS, EVENTS = 3, 24
WORLDS = 25

Place = tuple[int, int]
"""Partition and offset."""


@dataclasses.dataclass
class World:
    """What of a run lies outside of the worker, and what it must not do to it."""

    random: random.Random
    moves: bool
    most: int
    """Events in a batch."""
    failures: float
    """The share of what fails."""
    chaos: bool = True
    answered: set[Place] = dataclasses.field(default_factory=set)
    logged: set[Place] = dataclasses.field(default_factory=set)
    committed: dict[int, int] = dataclasses.field(default_factory=lambda: defaultdict(int))
    owners: dict[int, Claim] = dataclasses.field(default_factory=dict)
    appends: list[int] = dataclasses.field(default_factory=list)

    def fails(self) -> bool:
        """Now and then, while it is chaos."""
        return self.chaos and self.random.random() < self.failures

    async def takes_a_while(self) -> None:
        """From nothing to some milliseconds."""
        await asyncio.sleep(self.random.choice([0, 0, 0.001, 0.01]))

    def publish(self, place: Place) -> None:
        """Earlier events that have the same kind of answer have it by now; so has everything that
        cannot be published together with this one.
        """
        partition, offset = place
        same = [e for e in range(offset) if poisons(partition, e) == poisons(partition, offset)]
        before = range(offset + 1 - self.most * PUBLISHED_BATCHES)
        earlier = {(partition, e) for e in (*same, *before)}
        assert self.answered.issuperset(earlier), place
        self.answered.add(place)

    def commit(self, claim: Claim, event: Received) -> None:
        """Forward only, and only over what was answered and logged."""
        partition, end = claim.partition, event.offset + 1
        assert end >= self.committed[partition], (claim, event.offset)
        everything = {(partition, offset) for offset in range(end)}
        assert everything <= self.answered
        assert everything <= self.logged
        self.committed[partition] = end


def poisons(partition: int, offset: int) -> bool:
    """Whether the event there cannot be decoded."""
    return offset % 7 == partition


def _place(message: Outgoing) -> Place:
    """Where the event of a score or of a dead letter was."""
    data = msgspec.json.decode(message.value)["data"]
    if message.hub == "dead":
        return data["partition"], data["offset"]
    partition, offset = data["causationid"].split("-")
    return int(partition), int(offset)


class WorldWriter(MemoryWriter):
    """Some writes fail, with everything sent or with a part of it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """See `EventWriter`."""
        await self._world.takes_a_while()
        fails = self._world.fails()
        sent = messages[: self._world.random.randint(0, len(messages))] if fails else messages
        for message in sent:
            self._world.publish(_place(message))
            await self._world.takes_a_while()
        if fails:
            raise BrokerUnavailable("no hub")


class WorldLog(MemoryLog):
    """Some appends fail, with everything written or with nothing."""

    def __init__(self, world: World, places: Mapping[str, Place]) -> None:
        super().__init__()
        self._world = world
        self._places = places

    def append(self, entries: LogBatch) -> None:
        """See `InferenceLog`."""
        time.sleep(self._world.random.choice([0, 0.001]))
        fails = self._world.fails()
        if not fails or self._world.random.random() < 0.5:
            self._world.logged |= {self._places[entry_id] for entry_id in entries.entry_ids}
        if fails:
            raise StorageUnavailable("no storage")
        self._world.appends.append(len(entries))


class WorldSource(TestedSource):
    """Some commits fail, done or not; a claim that is not the last one of its partition is fenced
    off, as a group does it.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def commit(self, last: Mapping[Claim, Received]) -> None:
        """See `EventSource`."""
        await self._world.takes_a_while()
        mine = {claim: event for claim, event in last.items() if not claim.lost}
        if any(self._world.owners[claim.partition] is not claim for claim in mine):
            raise PartitionsMoved("moved")
        fails = self._world.fails()
        if not fails or self._world.random.random() < 0.5:
            for claim, event in mine.items():
                self._world.commit(claim, event)
        if fails:
            raise BrokerUnavailable("no hub")
        await self._world.takes_a_while()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("bundle"), reference=0)


async def deliver(rig: Rig, world: World, claim: Claim) -> None:
    """Give the events of a claim from where the group has committed, as a source does."""
    poison = [offset for offset in range(EVENTS) if poisons(claim.partition, offset)]
    offset = world.committed[claim.partition]
    while offset < EVENTS and not claim.closing:
        count = world.random.randint(1, 6)
        events = batch(claim, offset, min(count, EVENTS - offset), poison)
        await rig.pipeline.take(claim, events)
        offset += len(events)
        await world.takes_a_while()


async def live(rig: Rig, world: World, partition: int) -> None:
    """A partition that is given, taken away in the middle and given again, and then stays."""
    for _ in range(world.random.randint(1, 3) if world.moves else 0):
        claim = world.owners[partition] = rig.claim(partition)
        delivering = asyncio.create_task(deliver(rig, world, claim))
        await asyncio.sleep(world.random.random() * 0.4)
        await rig.pipeline.release([claim])
        assert claim.lost
        delivering.cancel()
        await asyncio.wait({delivering})
    claim = world.owners[partition] = rig.claim(partition)
    await deliver(rig, world, claim)


def places(model: ModelBundle) -> dict[str, Place]:
    """Which event a log entry is of."""
    rig = Rig(model)
    found: dict[str, Place] = {}
    for partition in range(PARTITIONS):
        claim = Claim("events", partition)
        poison = [offset for offset in range(EVENTS) if poisons(partition, offset)]
        for event in batch(claim, 0, EVENTS, poison):
            entries = rig.handler.compute([event], NOW).entries
            found[entries.entry_ids[0]] = (partition, event.offset)
    return found


async def run(model: ModelBundle, seed: int, moves: bool, known: Mapping[str, Place]) -> None:
    """One world with one worker; everything is done in the end."""
    world = World(random.Random(seed), moves, 1 + seed % 5, (0.1, 0.3, 0.8)[seed % 3])
    rig = Rig(
        model,
        WorldWriter(world),
        WorldLog(world, known),
        WorldSource(world),
        max_records=world.most,
        max_in_flight=world.random.choice([8, 20, 1000]),
    )
    rig.pipeline.release_seconds = world.random.choice([0.0, 0.02, 5.0])
    lives = asyncio.gather(*(live(rig, world, partition) for partition in range(PARTITIONS)))
    await asyncio.sleep(world.random.random())
    world.chaos = moves and world.random.random() < 0.5
    await lives
    world.chaos = False
    await rig.idle()
    assert (rig.pipeline.failure, rig.stops) == (None, 0), seed
    received = {(partition, offset) for partition in range(PARTITIONS) for offset in range(EVENTS)}
    assert (world.answered, world.logged) == (received, received), seed
    assert world.committed == dict.fromkeys(range(PARTITIONS), EVENTS), seed
    if not moves:
        counted = [
            rig.counted("trilane_records_total", outcome=o) or 0 for o in ("scored", "rejected")
        ]
        assert sum(counted) == len(received), seed


@pytest.mark.parametrize("moves", [False, True])
async def test_nothing_is_lost_or_committed_too_early(model: ModelBundle, moves: bool) -> None:
    """Through random delays and failures of hub, storage and commits, in any order: a partition's
    batches are published in order; what is committed only grows and was answered and logged before;
    in the end everything is. With partitions that move in the middle, too.
    """
    known = places(model)
    await asyncio.gather(*(run(model, seed, moves, known) for seed in range(WORLDS)))
