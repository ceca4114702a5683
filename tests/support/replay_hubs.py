"""Hubs with dead letters in them, over either transport, and the command that replays them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow.dataset as ds

from adapters.event_hub.amqp_connection import AmqpConnection
from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.messages import Outgoing, Received
from adapters.event_hub.opening import open_writer
from adapters.event_hub.reading import read_all
from local_stack.broker import run_broker
from scoring.model_loader import load_model
from stream_worker.handler import Handler
from tests.support.amqp_hub.process import AmqpHub

ROOT = Path(__file__).parents[2]
HUBS = ("events", "scores", "dead")
PARTITIONS = 4
_NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Hubs:
    """The three hubs, how to reach them, and the settings that say so."""

    connection: KafkaConnection | AmqpConnection
    settings: dict[str, str]

    async def write(self, hub: str, messages: Sequence[Outgoing]) -> None:
        """Publish."""
        async with open_writer(self.connection, (hub,)) as writer:
            await writer.write(messages)

    async def read(self, hub: str) -> list[Received]:
        """Everything in a hub."""
        return [event async for event in read_all(self.connection, hub)]

    async def reject(self, bundle: Path, values: Sequence[bytes | None]) -> None:
        """Publish the dead letters that a worker with this bundle makes of these events."""
        handler = Handler(load_model(bundle, _NOW), "scores", "dead", 900_000)
        events = [Received("events", 0, n, 1, b"k", value, ()) for n, value in enumerate(values)]
        messages = handler.dead_letters(handler.compute(events, _NOW), 1)
        assert len(messages) == len(values)
        await self.write("dead", messages)


@contextmanager
def run_hubs(transport: Literal["kafka", "amqp"]) -> Iterator[Hubs]:
    """Hubs of their own, each of four partitions, gone afterwards."""
    if transport == "kafka":
        with run_broker(HUBS, PARTITIONS) as address:
            yield Hubs(KafkaConnection(address), {"TRILANE_BOOTSTRAP_SERVERS": address})
        return
    with AmqpHub.start(HUBS, PARTITIONS) as server:
        secret = server.connection_string
        settings = {"TRILANE_TRANSPORT": "amqp", "TRILANE_EVENT_HUBS_CONNECTION_STRING": secret}
        yield Hubs(AmqpConnection(connection_string=secret), settings)


class Command:
    """`trilane replay` with storage of its own."""

    def __init__(self, hubs: Hubs, bundle: Path, directory: Path) -> None:
        self.storage = directory / "storage"
        self._directory = directory
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")}
        self._environment |= hubs.settings | {
            "TRILANE_BUNDLE": str(bundle),
            "TRILANE_STORAGE_URL": self.storage.as_uri(),
            "TRILANE_EVENTS_HUB": "events",
            "TRILANE_SCORES_HUB": "scores",
            "TRILANE_DEAD_LETTERS_HUB": "dead",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *flags: str) -> subprocess.Popen[str]:
        """Begin a run."""
        return subprocess.Popen(
            [sys.executable, "-m", "stream_worker.replay", *flags],
            env=self._environment, cwd=self._directory, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *flags: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a run."""
        with self.start(*flags) as process:
            output, errors = process.communicate(timeout=120)
        return process.returncode, output, errors

    def counts(self, *flags: str) -> dict[str, int]:
        """The counts of a run that ends well, those that are not 0."""
        code, output, errors = self.run(*flags)
        assert (code, errors) == (0, "")
        path = output.rpartition("report: file://")[2].strip()
        counts: dict[str, int] = json.loads(Path(path).read_text())["counts"]
        return {name: count for name, count in counts.items() if count}

    def entries(self) -> list[dict[str, Any]]:
        """The inference log."""
        log = ds.dataset(self.storage / "inference-log", partitioning="hive")
        rows: list[dict[str, Any]] = log.to_table().to_pylist()
        return rows
