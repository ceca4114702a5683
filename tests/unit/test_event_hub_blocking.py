"""Publishing from threads: one after the other, tried again, and given up once."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.event_hub.blocking import BlockingWriter
from adapters.event_hub.messages import MAX_REQUEST_BYTES, Outgoing
from adapters.event_hub.ports import EventWriter
from adapters.event_hub.retries import Retries
from scoring.errors import BrokerUnavailable, InputError
from tests.support.broker import MemoryWriter
from tests.support.memory_hub import MemoryHub, MemoryHubWriter

QUICK = Retries(60.0, 0.001, 0.002)


def messages(first: int, count: int) -> list[Outgoing]:
    """Messages with numbers as values and all with the same key."""
    return [Outgoing("scores", b"k", str(n).encode()) for n in range(first, first + count)]


def blocking(writer: EventWriter, retries: Retries = QUICK) -> BlockingWriter:
    """The writer, for threads."""
    return BlockingWriter(writer, retries)


class LonelyWriter(MemoryWriter):
    """A writer that takes a moment, and knows how many writes are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = self.most = 0
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.closed = False

    async def close(self) -> None:
        """Nothing may be written from now on."""
        self.closed = True

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.close()

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """Keep them one by one, with a pause after each."""
        self.loops.add(asyncio.get_running_loop())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        for message in messages:
            await asyncio.sleep(0)
            self.messages.append(message)
        self.under_way -= 1


def test_writes_of_several_threads_follow_one_another() -> None:
    """Each is acknowledged when it returns, none is interrupted by another, and the writer is
    closed at the end.
    """
    lonely = LonelyWriter()
    with blocking(lonely) as writer, ThreadPoolExecutor(8) as threads:

        def write(number: int) -> None:
            mine = messages(10 * number, 10)
            writer.write(mine)
            assert set(mine) <= set(lonely.messages)

        list(threads.map(write, range(40)))
        assert not lonely.closed
    assert lonely.closed
    assert lonely.most == len(lonely.loops) == 1
    values = [int(m.value) for m in lonely.messages]
    assert sorted(values) == list(range(400))
    assert all(values[at : at + 10] == [*range(values[at], values[at] + 10)]
               for at in range(0, 400, 10))  # fmt: skip


def test_what_fails_for_now_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """All of it and in its order, however often it fails within the time; each try is logged."""
    memory = MemoryWriter([BrokerUnavailable("gone")] * 5)
    with blocking(memory) as writer:
        writer.write(messages(0, 3))
        writer.write(messages(3, 3))
    assert memory.messages == messages(0, 6)
    assert [r.message for r in caplog.records] == ["events were not published; trying again"] * 5


def test_after_failing_for_too_long_every_write_fails_at_once() -> None:
    """The threads that wait would each wait for as long otherwise; the writer is not asked."""
    memory = MemoryWriter([BrokerUnavailable("gone for good")])
    with blocking(memory, Retries(0.0)) as writer:
        for _ in range(3):
            with pytest.raises(BrokerUnavailable, match="gone for good"):
                writer.write(messages(0, 1))
    assert memory.messages == []


def test_what_is_too_large_is_not_tried_again() -> None:
    """It is the caller's error, and the next write succeeds."""
    hub = MemoryHub(["scores"], 1)
    with blocking(MemoryHubWriter(hub, ["scores"])) as writer:
        with pytest.raises(InputError):
            writer.write([Outgoing("scores", b"k", b"x" * MAX_REQUEST_BYTES)])
        writer.write(messages(0, 1))
    assert [event.value for event in hub.events["scores"][0]] == [b"0"]


def test_a_missing_hub_is_noticed_before_anything_is_written() -> None:
    """On entering, with the hub's name; no thread is left."""
    before = threading.active_count()
    hub = MemoryHub(["scores"], 1)
    with (
        pytest.raises(BrokerUnavailable, match="there is no hub elsewhere"),
        blocking(MemoryHubWriter(hub, ["elsewhere"])),
    ):
        pytest.fail("it was entered")
    assert threading.active_count() == before


def test_nothing_is_written_outside_of_with() -> None:
    """Neither before nor afterwards, when the loop is gone."""
    writer = blocking(MemoryWriter())
    with pytest.raises(RuntimeError, match="not connected"):
        writer.write(messages(0, 1))
    with writer:
        writer.write(messages(0, 1))
    with pytest.raises(RuntimeError, match="not connected"):
        writer.write(messages(0, 1))


def test_a_failure_to_close_is_not_hidden() -> None:
    """Whoever used it is told."""

    class Stuck(MemoryWriter):
        async def __aexit__(self, kind: object, error: object, trace: object) -> None:
            raise BrokerUnavailable("it does not close")

    with pytest.raises(BrokerUnavailable, match="does not close"), blocking(Stuck()) as writer:
        writer.write(messages(0, 1))
