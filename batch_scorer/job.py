"""What `trilane batch` does: plan a run or find it begun, do this process's share, end it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC

import msgspec

from adapters.storage import Storage
from batch_scorer.agreement import agreed_plan, held
from batch_scorer.assembly import open_output
from batch_scorer.attempt import Attempt, available_threads
from batch_scorer.finish import found_complete
from batch_scorer.inputs import chosen_files
from batch_scorer.ledger import Ledger
from batch_scorer.outcome import Outcome
from batch_scorer.plan import WORK, Plan, read_plan
from batch_scorer.proposal import check_apart, proposed_plan
from batch_scorer.run_manifest import RUN_MANIFEST, read_run_manifest, run_directory
from batch_scorer.settings import BatchSettings
from batch_scorer.unit import Clock
from scoring.bundles import champion_path
from scoring.model_loader import load_model


def run_job(settings: BatchSettings, clock: Clock) -> Outcome:
    """Do one run or this shard's share of it, or find it complete.

    Blocks until that is done. SIGTERM ends it after the units in hand with TransientError, and the
    run stays unfinished. Raises TrilaneError.
    """
    with _noticing_sigterm() as stopping:
        started = clock().astimezone(UTC)
        run_id = settings.run_id or f"{started:%Y-%m-%d}"
        output = open_output(settings)
        if (ended := found_complete(settings, output, run_id)) is not None:
            return ended
        threads = available_threads(settings)
        model = load_model(champion_path(settings.bundle), started, threads)
        source, files = chosen_files(settings, model.schema, output, run_id)
        check_apart(settings, source, output)
        wanted = proposed_plan(settings, run_id, source, files, model, started)
        path = f"{run_directory(run_id)}/{WORK}/shard-{settings.shard:05d}"
        with held(output, path, settings) as lease:
            # Another attempt may have ended the run while this one waited.
            if (ended := found_complete(settings, output, run_id)) is not None:
                return ended
            if settings.restart:
                wanted = _begun_anew(output, wanted)
            plan = agreed_plan(output, wanted)
            # Another shard may have, and this one then has put a plan behind its end.
            if (ended := found_complete(settings, output, run_id)) is not None:
                return ended
            attempt = Attempt(settings, plan, model, source, output, clock)
            return attempt.run(lease.check, stopping)


def _begun_anew(output: Storage, wanted: Plan) -> Plan:
    """Drop what was done; parts are written again under their names, or dropped at the end.

    The event time stays that of before unless the settings say one: what was logged already is then
    replaced, and counted once.
    """
    plan, manifest = read_plan(output, wanted.run_id), read_run_manifest(output, wanted.run_id)
    before = plan.event_time if plan is not None else manifest.event_time if manifest else None
    if before is not None and wanted.shape.as_of is None:
        wanted = msgspec.structs.replace(wanted, event_time=before)
    output.delete(f"{run_directory(wanted.run_id)}/{RUN_MANIFEST}")
    Ledger(output, wanted.run_id).drop()
    return wanted


@contextmanager
def _noticing_sigterm() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM has come. The handler only takes a note: an exception from within could
    surface inside a library that swallows it, or does not survive it.
    """
    noticed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noticed.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: noticed.set())
    try:
        yield noticed.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
