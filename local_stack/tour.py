"""The demo's tour: one model through packaging, three lanes and the watcher.

Everything happens through public doors: commands, HTTP, event hubs, files.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bundling.config import ModelsConfig
from bundling.current import is_current
from local_stack.lanes import Lanes
from local_stack.online_client import OnlineScores, Prediction
from local_stack.population import Population, read_records, write_population
from local_stack.processes import LocalProcesses
from local_stack.progress import Progress
from scoring.bundle_schema import manifest_schema
from scoring.manifest import read_manifest

STEPS = 9
_IN_HUNDREDS = 100


@dataclass(frozen=True, slots=True)
class Windows:
    """Two closed hours that the demo uses as event times, so that monitoring sees two whole windows
    whenever the demo runs.
    """

    normal: datetime
    changed: datetime

    @classmethod
    def before(cls, now: datetime) -> "Windows":
        """The third and the second hour before the current one."""
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return cls(hour - timedelta(hours=3), hour - timedelta(hours=2))


@dataclass(frozen=True, slots=True)
class Findings:
    """What the lanes answered about the normal employees, and what they counted."""

    employees: int
    one_at_a_time: OnlineScores
    in_hundreds: OnlineScores
    stream: dict[str, Prediction]
    dead_letters: int
    batch: dict[str, Prediction]
    manifest: dict[str, Any]


def prepare_bundle(
    config: ModelsConfig,
    models: Path,
    bundle: Path,
    processes: LocalProcesses,
    progress: Progress,
) -> None:
    """Train and register when the registry lacks the champion, package it when no bundle stands."""
    settings = {"models": str(models)}
    with progress.step("model: train, register, package") as step:
        version = config.champion.version  # what an alias names is the registry's to say
        if version is not None and is_current(bundle, config.champion, version):
            return
        if not step.watched(lambda: _is_registered(config), "asking the registry"):
            processes.run("train", "training", settings, heartbeat=lambda: step.beat("training"))
        settings["output"] = str(bundle.parent)
        processes.run("package", "bundling", settings, heartbeat=lambda: step.beat("packaging"))


def prepare_population(directory: Path, progress: Progress) -> Population:
    """Write the employees' files."""
    with progress.step("employees: the normal ones, and a shifted population"):
        return write_population(directory)


def run_lanes(
    lanes: Lanes, population: Population, windows: Windows, progress: Progress
) -> Findings:
    """Score every employee in every lane during the normal window, then the shifted population
    through the stream during the other.
    """
    schema = manifest_schema(read_manifest(lanes.bundle))
    records = read_records(population.normal, schema, lanes.id_column)
    normal, changed = _middle(windows.normal), _middle(windows.changed)
    with progress.step("start the online API and the stream worker") as step:
        lanes.start(step.beat)
    with progress.step("online: every employee, one at a time") as step:
        one_at_a_time = lanes.online(records, 1, normal, step.beat)
    with progress.step("online: every employee, in hundreds") as step:
        in_hundreds = lanes.online(records, _IN_HUNDREDS, normal, step.beat)
    with progress.step("stream: publish every employee, read the scores") as step:
        lanes.publish(population.normal, normal, step.beat)
        stream, _ = lanes.stream(len(records), step.beat)
    with progress.step("batch: the nightly run over the same employees") as step:
        batch, manifest = lanes.batch(population.normal, f"{windows.normal:%F}", normal, step.beat)
    with progress.step("stream: publish the shifted population, read the scores") as step:
        lanes.publish(population.changed, changed, step.beat)
        _, dead_letters = lanes.stream(2 * len(records), step.beat)
    return Findings(
        len(records), one_at_a_time, in_hundreds, stream, len(dead_letters), batch, manifest
    )


def _is_registered(config: ModelsConfig) -> bool:
    from bundling.mlflow_door import opened
    from bundling.registry import is_registered

    with opened(config.registry):
        return is_registered(config.champion)


def _middle(window: datetime) -> str:
    return (window + timedelta(minutes=30)).isoformat()
