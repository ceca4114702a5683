"""Stream workers on brokers of their own, and batch runs of one input."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_stack.broker import run_broker
from tests.support.batch_nights import Night, write_input
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


@pytest.fixture(scope="module")
def referenced_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle with the reference that monitoring compares with."""
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def night(referenced_bundle: Path, tmp_path: Path) -> Night:
    """A batch run of seven pieces that nobody has scored."""
    write_input(tmp_path / "in")
    return Night(referenced_bundle, tmp_path)


@pytest.fixture(scope="module")
def whole(referenced_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The same, scored by one thread in one go."""
    root = tmp_path_factory.mktemp("whole")
    write_input(root / "in")
    night = Night(referenced_bundle, root)
    night.complete(threads=1)
    return night
