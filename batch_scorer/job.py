"""What `trilane batch` does: wiring, one run, a summary."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC

from adapters.parquet_log import ParquetInferenceLog
from adapters.storage import Storage, open_storage
from batch_scorer.inputs import find_inputs
from batch_scorer.progress import show_progress
from batch_scorer.run import Clock, Run, RunSpec
from batch_scorer.run_manifest import RunManifest, read_run_manifest, run_directory
from batch_scorer.settings import BatchSettings
from scoring.bundles import champion_path
from scoring.errors import ConfigurationError
from scoring.model import ModelBundle
from scoring.model_document import model_identity
from scoring.model_loader import load_model
from scoring.schema import FieldType

_log = logging.getLogger(__name__)


def run_job(settings: BatchSettings, clock: Clock) -> str:
    """Do one run, or find it complete; returns a summary for people, without values of records.

    Blocks until the run is complete. SIGTERM ends it after the chunk in hand with TransientError,
    and the run stays unfinished. Raises TrilaneError.
    """
    started = clock().astimezone(UTC)
    run_id = settings.run_id or f"{started:%Y-%m-%d}"
    secret = settings.connection_string()
    output = open_storage(settings.output, secret)
    done = read_run_manifest(output, run_id)
    if done is not None:
        return f"run {run_id} is complete already; nothing was written\n{_summary(done, output)}"
    source = open_storage(settings.input, secret)
    _check_apart(source, output)
    files = find_inputs(source)
    threads = settings.threads or available_cpus()
    model = load_model(champion_path(settings.bundle), started, threads)
    _check_record_id(settings, model)
    if settings.reasons:
        model.require_explainer()
    log = ParquetInferenceLog(open_storage(settings.storage_url, secret), model)
    spec = RunSpec(
        run_id=run_id,
        record_id_column=settings.record_id_column,
        chunk_records=settings.chunk_records,
        event_time=(settings.as_of or started).astimezone(UTC),
        started=started,
        reasons=min(settings.reasons, len(model.schema.names)),
    )
    figures = {"files": len(files), "bytes": sum(f.size for f in files), "threads": threads}
    figures |= {"reasons": spec.reasons}
    _log.info("run started", extra={"run_id": run_id, **model_identity(model), **figures})
    with _noticing_sigterm() as stopping, show_progress(files, clock) as progress:
        manifest = Run(spec, model, source, output, log, clock, stopping).score(files, progress)
    return _summary(manifest, output)


def available_cpus() -> int:
    """CPUs that this process may use, where the system says so; else those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_record_id(settings: BatchSettings, model: ModelBundle) -> None:
    """A feature can be the id too, if every value of it can be one."""
    for feature in model.schema.features:
        usable = feature.type in (FieldType.STRING, FieldType.INTEGER, FieldType.LONG)
        if feature.name == settings.record_id_column and not usable:
            raise ConfigurationError(
                f"the record id column '{feature.name}' is a feature of type {feature.type}, which "
                "cannot identify a record; name another column by --record-id-column"
            )


def _check_apart(source: Storage, output: Storage) -> None:
    if f"{output.url.rstrip('/')}/".startswith(f"{source.url.rstrip('/')}/"):
        raise ConfigurationError(
            f"the output {output.url} lies in the input {source.url}: "
            "the next run would read the scores of this one"
        )


def _summary(manifest: RunManifest, output: Storage) -> str:
    totals, model = manifest.totals, manifest.model
    counts = f"{totals.received:,} received, {totals.scored:,} scored, {totals.rejected:,} rejected"
    codes = ", ".join(f"{c} {n:,}" for c, n in list(manifest.rejections.items())[:5])
    return "\n".join(
        [
            f"run {manifest.run_id}: {counts} in {manifest.seconds:.1f} s",
            *([f"rejected: {codes}"] if codes else []),
            f"model {model.name} version {model.version} digest {model.digest[:12]}",
            f"output {output.url_of(run_directory(manifest.run_id))}",
        ]
    )


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
