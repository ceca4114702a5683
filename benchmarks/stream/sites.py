"""Where a section takes place: hubs over one of two protocols, and a storage."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from adapters.storage import Storage, open_storage
from benchmarks.online.bodies import read_manifest
from benchmarks.sections import say
from benchmarks.stream.accounts import Account
from benchmarks.stream.azurite import CONTAINERS, open_azurite
from benchmarks.stream.bench import PARTITIONS, SUBJECTS, Bench
from benchmarks.stream.brokers import Broker, open_broker
from benchmarks.stream.events import EventPlan
from benchmarks.stream.follow import PATIENCE_SECONDS, Follower, over_amqp, over_kafka
from benchmarks.stream.lane import Hubs, Lane
from benchmarks.stream.logged import entry_ids
from benchmarks.stream.publishing import PublishPlan
from tests.support.amqp_hub.process import AmqpHub


class Restartable(Protocol):
    """A broker that keeps what it acknowledged, on its address."""

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def start(self) -> None:
        """Start it again; blocks until it takes requests."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """Hubs that exist, and how everybody reaches them. `broker` None: it cannot be restarted."""

    bench: Bench
    transport: Literal["kafka", "amqp"]
    address: str
    hubs: Hubs
    directory: Path
    environment: Mapping[str, str]
    follower: Follower
    broker: Restartable | None
    create: Callable[[Sequence[str], int], None] | None
    storage_url: str
    storage_secret: str | None = None

    def lane(self, **settings: object) -> Lane:
        """The worker here."""
        named = {f"TRILANE_{name.upper()}": str(value) for name, value in settings.items()}
        environment = {**self.environment, "TRILANE_STORAGE_URL": self.storage_url}
        return Lane(self.bench.bundle, self.directory, self.hubs, environment, settings=named)

    def events(self, count: int, poison_share: float = 0.0, poison_from: int = 0) -> EventPlan:
        """So many events."""
        subjects = min(SUBJECTS, max(1, count // 10))
        bundle = str(self.bench.bundle)
        return EventPlan(bundle, count, subjects, poison_share, poison_from, self.bench.seed)

    def publishing(self, events: EventPlan, rate: float | None = None) -> PublishPlan:
        """Publish them here."""
        return PublishPlan(self.transport, self.address, self.hubs.events, PARTITIONS, events, rate)

    def account(self, events: EventPlan) -> Account:
        """Books for them."""
        digest = read_manifest(self.bench.bundle).digest
        return Account(events.count, events.subjects, digest, events.poison())

    def settle(
        self,
        account: Account,
        stop: Callable[[], None],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> int:
        """Read the hubs to their end, stop the workers, and check the log; returns how many of its
        entries were repeats.
        """
        once = _Once(stop)
        say("reading scores and dead letters")
        self.follower(account, self.hubs, once, patience_seconds)
        once()
        say("reading the inference log")
        return account.check_log(entry_ids(self.storage()))

    def storage(self) -> Storage:
        """The root of the inference log."""
        return open_storage(self.storage_url, self.storage_secret)


class _Once:
    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._called = False

    def __call__(self) -> None:
        if not self._called:
            self._called = True
            self._call()


@contextmanager
def kafka_site(bench: Bench, name: str, broker: Broker | None = None) -> Iterator[Site]:
    """A site on a Kafka-protocol broker, one of its own unless one is given."""
    directory = bench.directory(name)
    if broker is None:
        with (
            open_broker(bench.broker, directory / "broker") as own,
            kafka_site(bench, name, own) as site,
        ):
            yield site
        return
    hubs = Hubs.named(name)
    broker.create(hubs.all, PARTITIONS)
    yield Site(
        bench, "kafka", broker.bootstrap, hubs, directory,
        {"TRILANE_BOOTSTRAP_SERVERS": broker.bootstrap},
        over_kafka(broker.bootstrap),
        broker if broker.restarts else None,
        broker.create,
        str(directory / "storage"),
    )  # fmt: skip


@contextmanager
def amqp_site(bench: Bench, name: str) -> Iterator[Site]:
    """A site on the AMQP stand-in with a journal, and Azurite for log and checkpoints."""
    directory = bench.directory(name)
    hubs = Hubs.named(name)
    with (
        open_azurite(directory / "azurite") as secret,
        AmqpHub.start(hubs.all, PARTITIONS, directory=directory / "hub") as hub,
    ):
        environment = {
            "TRILANE_TRANSPORT": "amqp",
            "TRILANE_EVENT_HUBS_CONNECTION_STRING": hub.connection_string,
            "TRILANE_STORAGE_CONNECTION_STRING": secret,
            "TRILANE_CHECKPOINT_CONTAINER": CONTAINERS[1],
        }
        yield Site(
            bench, "amqp", hub.connection_string, hubs, directory, environment,
            over_amqp(hub.connection_string),
            _AmqpBroker(hub),
            None,
            f"abfs://{CONTAINERS[0]}@devstoreaccount1.dfs.core.windows.net/bench",
            secret,
        )  # fmt: skip


class _AmqpBroker:
    def __init__(self, hub: AmqpHub) -> None:
        self.kill, self.start = hub.kill, hub.restart
