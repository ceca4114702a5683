"""The files of one run, from the settings."""

import logging
from dataclasses import dataclass

from adapters.record_files.chunks import ReadOptions
from adapters.storage import Storage
from batch_scorer.inputs.incremental import forget, left_out, read_state
from batch_scorer.inputs.listing import Listing, find_files
from batch_scorer.inputs.planning import Looked, Reading, planned
from batch_scorer.plan import Plan, PlannedFile, read_plan
from batch_scorer.settings import BatchSettings
from scoring.schema import Schema

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """`files` are to be scored, with their pieces; `scored_before` are left out for that."""

    listing: Listing
    files: list[PlannedFile]
    scored_before: list[PlannedFile]


def chosen_files(
    settings: BatchSettings, schema: Schema, output: Storage, run_id: str | None = None
) -> tuple[Storage, list[PlannedFile]]:
    """The input storage, and the files to score with their pieces, which may be none.

    With a run id the files of its plan, if it was begun, are of it even when another run has scored
    them since, and those that have not changed are not opened. Forgets what is not in the input any
    more. Blocks on storage. Raises InputError, ConfigurationError, TransientError.
    """
    chosen = choose(settings, schema, output, run_id)
    listing = chosen.listing
    if settings.incremental != "none":
        forget(output, settings.input, listing.files)
    figures = {
        "files": len(chosen.files),
        "scored_before": len(chosen.scored_before),
        "hidden": len(listing.hidden),
        "unknown_ending": len(listing.unknown),
        "table_version": listing.table_version,
    }
    _log.info("input listed", extra=figures)
    return listing.storage, chosen.files


def choose(
    settings: BatchSettings,
    schema: Schema,
    output: Storage,
    run_id: str | None = None,
    looked: Looked = lambda *_: None,
) -> Chosen:
    """As `chosen_files`, and nothing is written; `looked` as in `planned`."""
    listing = find_files(settings.input, settings.connection_string(), settings.retry_seconds)
    plan = None if run_id is None or settings.restart else read_plan(output, run_id)
    begun = [] if plan is None else plan.files
    files, done = listing.files, list[PlannedFile]()
    if settings.incremental != "none" and not settings.full:
        scored = read_state(output, settings.input)
        names = [file.file for file in begun]
        files, done = left_out(scored, settings.incremental, files, names)
    reading = _reading(settings, schema)
    known = begun if plan is not None and _is_for(plan, reading) else []
    may_change = listing.table_version is None
    to_score = planned(listing.storage, files, reading, known, looked, may_change)
    return Chosen(listing, to_score, done)


def read_options(settings: BatchSettings, file: PlannedFile) -> ReadOptions:
    """How the settings say that a planned file is read. Raises ConfigurationError."""
    return ReadOptions(settings.columns, file.partitions, settings.dialect())


def _reading(settings: BatchSettings, schema: Schema) -> Reading:
    return Reading(schema, settings.record_id_column, settings.columns, settings.chunk_records)


def _is_for(plan: Plan, reading: Reading) -> bool:
    shape = plan.shape
    return (shape.record_id_column, shape.columns, shape.chunk_records) == (
        reading.id_column,
        reading.columns,
        reading.chunk_records,
    )
