"""The demo from its first line to its exit: run directory, services, tour, summary, checks."""

import shutil
import signal
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bundling.config import read_models_config
from local_stack.broker import run_broker
from local_stack.lanes import Lanes, free_ports
from local_stack.log_counts import LaneOutcome, wait_for_entries
from local_stack.processes import LocalProcesses, interruptible
from local_stack.progress import Progress
from local_stack.settings import DemoSettings
from local_stack.summary import Check, Place, Verdict, checks, page
from local_stack.tour import (
    STEPS,
    Findings,
    Windows,
    prepare_bundle,
    prepare_population,
    run_lanes,
)
from local_stack.verdicts import verdict_of
from scoring.errors import TerminalError
from scoring.manifest import read_manifest

_KEPT_RUNS = 3
_LOG_SECONDS = 30.0
_ID_COLUMN = "EmployeeNumber"


def run_demo(settings: DemoSettings, stay: bool) -> None:
    """The whole tour; with `stay` the services keep running until Ctrl-C.

    Raises TerminalError naming every check that failed, or the step that could not be done.
    """
    now = datetime.now(UTC)
    run = _new_run(settings.directory, now)
    config = read_models_config(settings.models)
    bundle = settings.directory / "bundles" / config.champion.name
    progress = Progress(STEPS)
    with ExitStack() as stack:
        stack.enter_context(interruptible())
        processes = stack.enter_context(LocalProcesses(run / "logs"))
        prepare_bundle(config, settings.models, bundle, processes, progress)
        population = prepare_population(run, progress)
        broker = stack.enter_context(run_broker(log_path=run / "logs" / "broker.log"))
        ports = free_ports(settings.port)
        lanes = Lanes(processes, bundle, run, broker, ports, _ID_COLUMN)
        windows = Windows.before(now)
        findings = run_lanes(lanes, population, windows, progress)
        with progress.step("monitoring: drift in both windows, reports") as step:
            logged = wait_for_entries(
                lanes.storage, 5 * findings.employees, _LOG_SECONDS, step.beat
            )
            lanes.watch(settings.policy, step.beat)
        failed = _report(lanes, findings, logged, windows)
        if stay:
            print("Running until Ctrl-C.", flush=True)
            _wait_for_interrupt()
    if failed:
        raise TerminalError("these checks failed: " + "; ".join(check.name for check in failed))


def _report(
    lanes: Lanes, findings: Findings, logged: Counter[LaneOutcome], windows: Windows
) -> list[Check]:
    from training.shift import SHIFTED_FEATURES

    manifest = read_manifest(lanes.bundle)
    normal = verdict_of(lanes.storage, manifest, windows.normal, "normal")
    changed = verdict_of(lanes.storage, manifest, windows.changed, "shifted")
    results = checks(findings, logged, normal, changed, SHIFTED_FEATURES)
    print(page(findings, logged, [normal, changed], results, _places(lanes, normal, changed)))
    return [check for check in results if not check.holds]


def _places(lanes: Lanes, normal: Verdict, changed: Verdict) -> list[Place]:
    online = f"http://127.0.0.1:{lanes.ports['online']}"
    return [
        Place("API and its page", f"{online}/"),
        Place("metrics", f"{online}/metrics  http://127.0.0.1:{lanes.ports['stream']}/metrics"),
        Place("event hub", f"{lanes.broker} (Kafka protocol)"),
        Place("report, normal", normal.report),
        Place("report, shifted", changed.report),
        Place("batch scores", str(lanes.directory / "scores")),
        Place("inference log", str(lanes.storage / "inference-log")),
        Place("drift tables", str(lanes.storage / "drift")),
        Place("bundle", str(lanes.bundle)),
        Place("process logs", str(lanes.directory / "logs")),
    ]


def _new_run(directory: Path, now: datetime) -> Path:
    """A directory for this run; the oldest beyond three are removed."""
    runs = directory / "runs"
    run = runs / f"{now:%Y%m%dT%H%M%SZ}"
    run.mkdir(parents=True, exist_ok=True)
    for old in sorted(runs.iterdir())[:-_KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    return run


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()
