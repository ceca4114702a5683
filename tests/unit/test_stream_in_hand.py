"""What may be in hand, and which claim does not get on."""

import asyncio
import time

import pytest

from adapters.event_hub.messages import Received
from adapters.event_hub.ports import Claim
from stream_worker.in_hand import MAX_BYTES, InHand, Work
from tests.support.stream_rig import batch


class Hand:
    """What is in hand, and the counts that were told."""

    def __init__(self, max_records: int) -> None:
        self.told: list[int] = []
        self.in_hand = InHand(max_records, self.told.append)

    def claim(self, partition: int = 0) -> Claim:
        """One that is known."""
        claim = Claim("events", partition)
        self.in_hand.claimed([claim])
        return claim

    def add(self, claim: Claim, count: int) -> Work:
        """Work of so many events."""
        work = self.in_hand.add(claim, batch(claim, 0, count), count)
        assert work is not None
        return work


async def waits(waiting: "asyncio.Task[bool]") -> bool:
    """Whether it still does after everything else had its turn."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not waiting.done()


async def test_room_is_made_by_what_is_done() -> None:
    """The limit is in events; one more batch is taken as long as it is not reached."""
    hand = Hand(5)
    claim = hand.claim()
    first = hand.add(claim, 4)
    assert await hand.in_hand.room(claim)
    second = hand.add(claim, 4)
    waiting = asyncio.create_task(hand.in_hand.room(claim))
    assert await waits(waiting)
    hand.in_hand.done(second)
    assert await asyncio.wait_for(waiting, 20)
    hand.in_hand.done(first)
    assert hand.told == [4, 8, 4, 0]


async def test_no_two_get_the_same_room() -> None:
    """Whoever is woken first takes it, and the other goes on waiting, whichever claim it is of."""
    hand = Hand(1)
    claims = [hand.claim(0), hand.claim(1)]
    work = hand.add(claims[0], 1)

    async def take(claim: Claim) -> Work:
        assert await hand.in_hand.room(claim)
        return hand.add(claim, 1)

    takers = [asyncio.create_task(take(claim)) for claim in claims]
    await asyncio.sleep(0)
    hand.in_hand.done(work)
    done, waiting = await asyncio.wait(takers, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(waiting), hand.told[-1]) == (1, 1, 1)
    hand.in_hand.done(await done.pop())
    await asyncio.wait_for(asyncio.gather(*waiting), 20)


async def test_the_bytes_in_hand_are_bounded_too() -> None:
    """Few large events fill it as many small ones do: keys and values count."""
    hand = Hand(1_000_000)
    claim = hand.claim()
    size = MAX_BYTES // 2
    large = Received("events", 0, 0, -1, b"k" * (size - 1), b"v", ())
    first = hand.in_hand.add(claim, [large], 1)
    assert first is not None
    assert await hand.in_hand.room(claim)
    assert hand.in_hand.add(claim, [large], 1) is not None
    waiting = asyncio.create_task(hand.in_hand.room(claim))
    assert await waits(waiting)
    hand.in_hand.done(first)
    assert await asyncio.wait_for(waiting, 20)


async def test_events_join_the_newest_work_of_their_claim_while_it_waits() -> None:
    """As long as it does not become too many; they follow those that are there. Work that has begun
    is left alone, and so is that of other claims.
    """
    hand = Hand(100)
    claim, other = hand.claim(0), hand.claim(1)
    work = hand.in_hand.add(claim, batch(claim, 0, 2), 5)
    assert work is not None
    assert hand.in_hand.add(claim, batch(claim, 2, 3), 5) is None
    assert [event.offset for event in work.events] == [0, 1, 2, 3, 4]
    assert work.last.offset == 4
    second = hand.in_hand.add(claim, batch(claim, 5, 1), 5)
    assert second is not None
    assert hand.in_hand.add(other, batch(other, 0, 1), 5) is not None
    assert hand.in_hand.add(claim, batch(claim, 6, 1), 5) is None
    second.open = False
    third = hand.in_hand.add(claim, batch(claim, 7, 1), 5)
    assert third is not None
    assert [event.offset for event in second.events] == [5, 6]
    assert hand.told == [2, 5, 6, 7, 8, 9]
    hand.in_hand.done(work)
    hand.in_hand.done(second)
    assert hand.told[-1] == 2


async def test_a_claim_that_ends_gets_no_room() -> None:
    """Neither while it waits nor afterwards, nor one that was never given."""
    hand = Hand(1)
    claim, other = hand.claim(0), hand.claim(1)
    work = hand.add(claim, 1)
    waiting = asyncio.create_task(hand.in_hand.room(claim))
    assert await waits(waiting)
    hand.in_hand.close([claim])
    assert not await asyncio.wait_for(waiting, 20)
    hand.in_hand.done(work)
    assert not await hand.in_hand.room(claim)
    assert await hand.in_hand.room(other)
    assert not await hand.in_hand.room(Claim("events", 0))


async def test_the_end_of_a_claim_waits_for_what_was_begun_only() -> None:
    """Not for work that nobody began, nor for that of other claims."""
    hand = Hand(100)
    claim, other = hand.claim(0), hand.claim(1)
    hand.add(other, 1).begun = True
    hand.add(claim, 1)
    begun = hand.add(claim, 1)
    begun.begun = True
    ending = asyncio.create_task(hand.in_hand.end([claim], 3600))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (ending.done(), claim.closing, claim.lost) == (False, True, False)
    hand.in_hand.done(begun)
    await asyncio.wait_for(ending, 20)
    assert (claim.lost, other.closing, hand.in_hand.claims) == (True, False, [other])


async def test_the_end_of_a_claim_is_bounded() -> None:
    """What is done afterwards makes room all the same."""
    hand = Hand(1)
    claim, other = hand.claim(0), hand.claim(1)
    work = hand.add(claim, 1)
    work.begun = True
    await asyncio.wait_for(hand.in_hand.end([claim], 0.01), 20)
    assert claim.lost
    hand.in_hand.done(work)
    assert hand.told == [1, 0]
    assert await hand.in_hand.room(other)


async def test_closing_is_told_when_all_of_them_are() -> None:
    """One of two that closes ends no wait; and the wait ends in time."""
    hand = Hand(1)
    claims = [hand.claim(0), hand.claim(1)]
    hand.in_hand.close(claims[:1])
    assert not await hand.in_hand.closing(claims, 0.01)
    waiting = asyncio.create_task(hand.in_hand.closing(claims, 3600))
    assert await waits(waiting)
    hand.in_hand.close(claims[1:])
    assert await asyncio.wait_for(waiting, 20)


async def a_moment_later() -> float:
    """A moment that lies well after what was before and well before what comes."""
    await asyncio.sleep(0.05)
    moment = time.monotonic()
    await asyncio.sleep(0.05)
    return moment


def stalled_since(hand: Hand, moment: float) -> Claim | None:
    """A claim that waits and did not get on since then."""
    return hand.in_hand.stalled(time.monotonic() - moment)


@pytest.mark.parametrize("settled", [True, False])
async def test_a_claim_stalls_when_its_work_is_not_settled(settled: bool) -> None:
    """Work that is dropped is no progress; work that is settled is."""
    hand = Hand(100)
    claim, _ = hand.claim(0), hand.claim(1)
    work, _ = hand.add(claim, 1), hand.add(claim, 1)
    moment = await a_moment_later()
    assert stalled_since(hand, moment) is claim
    assert hand.in_hand.stalled(3600) is None
    work.settled = settled
    hand.in_hand.done(work)
    assert (stalled_since(hand, moment) is None) == settled


async def test_a_claim_stalls_when_its_events_are_not_even_taken() -> None:
    """A lag says that there are some; a lag of zero is as good as progress."""
    hand = Hand(100)
    claim = hand.claim()
    hand.in_hand.lags(claim, 7)
    moment = await a_moment_later()
    assert stalled_since(hand, moment) is claim
    hand.in_hand.lags(claim, 8)
    assert stalled_since(hand, moment) is claim
    hand.in_hand.lags(claim, 0)
    assert hand.in_hand.stalled(0) is None
    hand.in_hand.lags(claim, 7)
    assert stalled_since(hand, moment) is None


async def test_a_claim_without_events_never_stalls() -> None:
    """And one that ended neither, whatever was left of it."""
    hand = Hand(100)
    hand.claim(0)
    claim = hand.claim(1)
    hand.add(claim, 1)
    await hand.in_hand.end([claim], 0)
    hand.in_hand.lags(claim, 7)
    moment = await a_moment_later()
    assert stalled_since(hand, moment) is None
