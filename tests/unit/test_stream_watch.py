"""Lag, readiness and liveness of the worker."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from adapters.event_hub.ports import Claim
from scoring.errors import BrokerUnavailable
from scoring.model import ModelBundle
from stream_worker.watch import INTERVAL_SECONDS, Watch
from tests.support.stream_rig import Rig, until
from tests.support.toy import load_toy

FOREVER = 3600.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("bundle"), reference=0)


class Watched(Rig):
    """A pipeline that is watched."""

    def __init__(self, model: ModelBundle, stall_seconds: float = FOREVER) -> None:
        super().__init__(model)
        self.watch = Watch(self.pipeline, self.source, self.metrics, stall_seconds)

    def lag(self, claim: Claim) -> float | None:
        """As the metrics show it."""
        labels = {"hub": claim.hub, "partition": str(claim.partition)}
        return self.counted("trilane_consumer_lag_records", **labels)


@pytest.fixture
async def rig(model: ModelBundle) -> AsyncIterator[Watched]:
    """One whose watch runs."""
    rig = Watched(model)
    running = asyncio.create_task(rig.watch.run())
    yield rig
    running.cancel()
    await asyncio.wait({running})


async def test_the_lag_of_a_new_claim_is_looked_at_soon(rig: Watched) -> None:
    """Not only after the interval; what the source says is what is shown."""
    await asyncio.sleep(0)
    [claim] = rig.source.give(rig.pipeline, 0)
    rig.source.lags = {claim: 7}
    await until(lambda: rig.lag(claim) == 7, INTERVAL_SECONDS - 1)


async def test_a_lag_that_is_not_known_is_looked_at_again(
    rig: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """A hub that does not answer is said, and ends nothing."""
    rig.source.failures = [BrokerUnavailable("the lag is hidden")]
    rig.claim(1)
    await until(lambda: not rig.source.failures)
    assert "the lag is not known" in caplog.text
    claim = rig.claim()
    rig.source.lags = {claim: 3}
    await until(lambda: rig.lag(claim) == 3)


async def test_the_lag_of_a_lost_claim_is_not_shown(rig: Watched) -> None:
    """A late answer does not bring it back."""
    lost, kept = rig.source.give(rig.pipeline, 0, 1)
    await rig.pipeline.release([lost])
    rig.source.lags = {lost: 5, kept: 6}
    await until(lambda: rig.lag(kept) == 6)
    assert rig.lag(lost) is None


async def test_readiness_is_membership_until_the_worker_drains(model: ModelBundle) -> None:
    """Ready from the first assignment on, an empty one too, until it drains or fails."""
    rig = Watched(model)
    seen = [rig.watch.ready()]
    rig.pipeline.claimed([])
    seen.append(rig.watch.ready())
    await rig.pipeline.release([])
    seen.append(rig.watch.ready())
    rig.watch.draining = True
    assert [*seen, rig.watch.ready()] == [False, True, True, False]
    failed = Watched(model)
    failed.claim()
    failed.pipeline.fail(BrokerUnavailable("no"))
    assert not failed.watch.ready()


async def test_a_partition_that_does_not_get_on_is_said_once(
    model: ModelBundle, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker is not alive then; it is again when the partition gets on."""
    rig = Watched(model, stall_seconds=0.5)
    claim = rig.claim(4)
    rig.pipeline.in_hand.lags(claim, 1)
    assert rig.watch.alive()
    await asyncio.sleep(0.6)
    assert [rig.watch.alive(), rig.watch.alive()] == [False, False]
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    said = vars(record)
    assert (said["event"], said["hub"], said["partition"]) == ("stalled", "events", 4)
    rig.pipeline.in_hand.lags(claim, 0)
    assert rig.watch.alive()
