"""The run before: what a run is compared with."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from adapters.storage import Storage
from batch_scorer.run_manifest import RunManifest, read_run_manifest
from scoring.errors import InputError

MOST_READ: Final = 10
"""Manifests that are read to find it; a manifest of many files has megabytes."""

_FORMAT: Final = re.compile(r"\.(csv|jsonl|ndjson|parquet)(\.[a-z0-9]+)?$", re.IGNORECASE)


def previous_run(output: Storage, manifest: RunManifest) -> RunManifest | None:
    """The latest complete run of the same model name and kind of input in an output that finished
    before this one began, or None.

    Runs are looked at by their ids, of which numbers count as numbers: first those below this run's
    from the highest on, then the others likewise, `MOST_READ` manifests at most; with ids that do
    not grow an older run may be found, or none. Of the same kind are inputs with the same column of
    record ids that share a file format. A manifest that is damaged, or of another format, is passed
    over. Blocks on storage. Raises StorageUnavailable.
    """
    began = _time(manifest.started_at)
    best: tuple[datetime, RunManifest] | None = None
    for run_id in _candidates(_run_ids(output), manifest.run_id)[:MOST_READ]:
        found = _readable(output, run_id)
        if found is None or not _comparable(found, manifest):
            continue
        finished = _time(found.finished_at)
        if finished <= began and (best is None or finished > best[0]):
            best = finished, found
    return None if best is None else best[1]


def _run_ids(output: Storage) -> Iterator[str]:
    for name in output.directories():
        if name.startswith("run="):
            yield name.removeprefix("run=")


def _candidates(run_ids: Iterator[str], run_id: str) -> list[str]:
    """Other runs in the order in which they are likely to be the one before."""
    own = _natural(run_id)
    others = sorted((other for other in run_ids if other != run_id), key=_natural, reverse=True)
    below = [other for other in others if _natural(other) < own]
    return [*below, *(other for other in others if _natural(other) >= own)]


def _natural(run_id: str) -> list[tuple[int, str]]:
    """A key by which `night-9` comes before `night-10`."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", run_id)
    return [(int(p), "") if p[0].isdecimal() else (-1, p) for p in pieces]


def _readable(output: Storage, run_id: str) -> RunManifest | None:
    try:
        found = read_run_manifest(output, run_id)
        if found is not None:
            _time(found.finished_at)
    except (InputError, ValueError):
        return None
    return found


def _comparable(found: RunManifest, manifest: RunManifest) -> bool:
    return (
        found.outcome == "complete"
        and found.format == manifest.format
        and found.model.name == manifest.model.name
        and found.record_id_column == manifest.record_id_column
        and bool(_formats(found) & _formats(manifest))
    )


def _formats(manifest: RunManifest) -> set[str]:
    matches = (_FORMAT.search(report.file) for report in manifest.inputs)
    return {match[1].lower().replace("ndjson", "jsonl") for match in matches if match}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
