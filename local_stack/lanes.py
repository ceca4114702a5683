"""The three lanes and the watcher over one bundle, as real processes on this machine."""

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_stack.broker import free_port
from local_stack.hub_reader import read_until
from local_stack.online_client import OnlineScores, Prediction, score_online
from local_stack.processes import LocalProcesses, Process, wait_until_ready

SCORES, DEAD_LETTERS = "attrition-scores", "dead-letters"

Heartbeat = Callable[[str], None]

_START_SECONDS = 90.0
_STREAM_SECONDS = 120.0
# What batch rows and score events carry beside a prediction.
_PLACE = ("file", "row")
_CAUSE = ("model", "causationid", "causationsource", "causationtime")


def silent(_: str) -> None:
    """A heartbeat that says nothing."""


@dataclass(frozen=True)
class Lanes:
    """Where everything is: the bundle, a directory for what this run makes, the event hub.

    Every lane is asked for `reasons` reasons per record.
    """

    processes: LocalProcesses
    bundle: Path
    directory: Path
    broker: str
    ports: Mapping[str, int]
    id_column: str
    reasons: int = 0

    @property
    def storage(self) -> Path:
        """The storage root: inference log and drift tables."""
        return self.directory / "storage"

    def start(self, heartbeat: Heartbeat = silent) -> dict[str, Process]:
        """Start the online API and the stream worker; returns when both are ready."""
        services = {
            "online": self.processes.start("online", "online_api", self._online()),
            "stream": self.processes.start("stream", "stream_worker", self._stream()),
        }
        for name, process in services.items():
            url = f"http://127.0.0.1:{self.ports[name]}/readyz"
            wait_until_ready(process, url, _START_SECONDS, lambda: heartbeat("starting"))
        return services

    def online(
        self,
        records: Sequence[dict[str, Any]],
        per_request: int,
        event_time: str,
        heartbeat: Heartbeat = silent,
    ) -> OnlineScores:
        """Score records through the API; each has a record_id."""
        return score_online(
            self.ports["online"], records, per_request, event_time, heartbeat, self.reasons
        )

    def publish(self, file: Path, event_time: str, heartbeat: Heartbeat = silent) -> None:
        """Publish a file's records as events."""
        settings = {
            "bundle": str(self.bundle),
            "bootstrap_servers": self.broker,
            "record_id_column": self.id_column,
            "event_time": event_time,
        }
        self.processes.run(
            "publish", "stream_worker.publish", settings, [str(file)], lambda: heartbeat("")
        )

    def stream(
        self, expected: int, heartbeat: Heartbeat = silent
    ) -> tuple[dict[str, Prediction], list[dict[str, Any]]]:
        """Wait until `expected` scores and dead letters are out.

        Returns the latest prediction by subject, and the dead letters.
        """
        hubs = (SCORES, DEAD_LETTERS)
        events = read_until(self.broker, hubs, expected, _STREAM_SECONDS, heartbeat)
        return (
            {event["subject"]: _prediction(event["data"]) for event in events[SCORES]},
            events[DEAD_LETTERS],
        )

    def batch(
        self, file: Path, run_id: str, as_of: str, heartbeat: Heartbeat = silent
    ) -> tuple[dict[str, Prediction], dict[str, Any]]:
        """Score a file; returns predictions by record id, and the run manifest."""
        settings = {
            "bundle": str(self.bundle),
            "storage_url": str(self.storage),
            "input": str(file),
            "output": str(self.directory / "scores"),
            "run_id": run_id,
            "record_id_column": self.id_column,
            "as_of": as_of,
            "reasons": str(self.reasons),
        }
        self.processes.run("batch", "batch_scorer", settings, heartbeat=lambda: heartbeat(""))
        return read_batch_run(self.directory / "scores" / f"run={run_id}")

    def watch(self, policy: Path, heartbeat: Heartbeat = silent) -> None:
        """Compute drift for every closed window."""
        settings = {
            "bundle": str(self.bundle),
            "storage_url": str(self.storage),
            "policy": str(policy),
            "once": "true",
        }
        self.processes.run(
            "monitoring", "monitoring", settings, heartbeat=lambda: heartbeat("rendering reports")
        )

    def _online(self) -> dict[str, str]:
        return {
            "bundle": str(self.bundle),
            "storage_url": str(self.storage),
            "port": str(self.ports["online"]),
            "spool_dir": str(self.directory / "spool"),
            "upload_interval_seconds": "1",
            "drain_seconds": "0",
        }

    def _stream(self) -> dict[str, str]:
        return {
            "bundle": str(self.bundle),
            "storage_url": str(self.storage),
            "bootstrap_servers": self.broker,
            "reasons": str(self.reasons),
            "probe_port": str(self.ports["stream"]),
            "session_timeout_seconds": "2",  # the local broker's first join takes half of it
        }


def free_ports(preferred_online: int = 0) -> dict[str, int]:
    """Ports for the services; the preferred one for the API unless something listens on it."""
    with socket.socket() as probe:
        taken = preferred_online == 0 or probe.connect_ex(("127.0.0.1", preferred_online)) == 0
    return {"online": free_port() if taken else preferred_online, "stream": free_port()}


def read_batch_run(run: Path) -> tuple[dict[str, Prediction], dict[str, Any]]:
    """A batch run's predictions by record id, and its manifest."""
    import pyarrow.parquet as pq

    predictions: dict[str, Prediction] = {}
    for part in sorted((run / "scores").glob("*.parquet")):
        for row in pq.ParquetFile(part).read().to_pylist():
            predictions[row["record_id"]] = {
                # Part files have the outlier columns, empty, for models without a detector too.
                k: v
                for k, v in row.items()
                if k not in _PLACE and v is not None
            }
    manifest: dict[str, Any] = json.loads((run / "manifest.json").read_bytes())
    return predictions, manifest


def largest_difference(lanes: Sequence[Mapping[str, Prediction]]) -> float:
    """Over all predictions, by record id: 0.0 only when every value is identical in all lanes.

    Infinite when a lane has other records, or differs in anything that is no float.
    """
    first, *others = lanes
    largest = 0.0
    for other in others:
        if other.keys() != first.keys():
            return float("inf")
        for record_id, prediction in first.items():
            largest = max(largest, _difference(prediction, other[record_id]))
    return largest


def _difference(a: Any, b: Any) -> float:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b)
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max((_difference(a[name], b[name]) for name in a), default=0.0)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max(map(_difference, a, b), default=0.0)
    return 0.0 if type(a) is type(b) and a == b else float("inf")


def _prediction(data: dict[str, Any]) -> Prediction:
    return {k: v for k, v in data.items() if k not in _CAUSE}
