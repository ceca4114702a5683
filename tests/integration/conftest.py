"""Stream workers on brokers of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_stack.broker import run_broker
from tests.support.toy import make_bundle
from tests.support.worker_process import WorkerProcess

HUBS = ("events", "scores", "dead")
StartWorker = Callable[..., WorkerProcess]
"""Starts a worker with these environment variables."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle."""
    return make_bundle(tmp_path_factory.mktemp("bundle"), reference=0)


@pytest.fixture
def broker() -> Iterator[str]:
    """A broker of its own for each test, with four partitions per hub."""
    with run_broker(HUBS, 4) as address:
        yield address


@pytest.fixture
def start(broker: str, bundle: Path, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers on this test's broker; ends those that are left."""
    workers: list[WorkerProcess] = []

    def make(**settings: str) -> WorkerProcess:
        workers.append(WorkerProcess(broker, bundle, tmp_path, **settings))
        return workers[-1]

    yield make
    for worker in workers:
        worker.process.kill()
        worker.process.wait()
