"""The run manifest: written last, so that its presence says that a run is complete."""

from typing import Final, Literal

import msgspec

from adapters.storage import Storage
from batch_scorer.distribution import Distribution
from scoring.errors import InputError

RUN_MANIFEST: Final = "manifest.json"


class Counts(msgspec.Struct, frozen=True):
    """Records; scored plus rejected is received."""

    received: int = 0
    scored: int = 0
    rejected: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.received + other.received,
            self.scored + other.scored,
            self.rejected + other.rejected,
        )


class InputReport(msgspec.Struct, frozen=True):
    """One input file: which content was read, and what became of its records; `seconds` of work.

    `error` says why the file as a whole could not be read, or not to its end.
    """

    file: str
    url: str
    size: int
    etag: str
    received: int
    scored: int
    rejected: int
    seconds: float
    error: str | None = None


class ModelReport(msgspec.Struct, frozen=True):
    """The model that scored; the digests are those of the bundle and of the registered files.

    Runs of older versions have no `alias` and no `source_digest`.
    """

    name: str
    version: str
    digest: str
    alias: str | None = None
    source_digest: str | None = None


class RunManifest(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times are ISO 8601 in UTC, durations seconds; `reasons` per record.

    A run that failed has everything that could be scored, and `failure` says what is missing; the
    next attempt does what is missing. `distribution` is that of each output, by name.
    """

    format: int
    run_id: str
    input: str = ""
    outcome: Literal["complete", "failed"]
    failure: str | None = None
    model: ModelReport
    record_id_column: str
    chunk_records: int
    reasons: int = 0
    event_time: str
    started_at: str
    finished_at: str
    seconds: float
    totals: Counts
    rejections: dict[str, int]
    bins: dict[str, list[float]] = {}
    distribution: dict[str, Distribution] = {}
    inputs: list[InputReport]


def run_directory(run_id: str) -> str:
    """Where a run lies below the output."""
    return f"run={run_id}"


def read_run_manifest(output: Storage, run_id: str) -> RunManifest | None:
    """The manifest of a run, or None while there is none.

    Blocks on storage. Raises InputError when there is one that cannot be read.
    """
    path = f"{run_directory(run_id)}/{RUN_MANIFEST}"
    if not output.exists(path):
        return None
    try:
        return msgspec.json.decode(output.read(path), type=RunManifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{output.url_of(path)} is no run manifest of this version; "
            "remove it to score the run again, or choose another --run-id"
        ) from error


def write_run_manifest(output: Storage, manifest: RunManifest) -> None:
    """Make the run complete; blocks on storage."""
    raw = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    output.write(f"{run_directory(manifest.run_id)}/{RUN_MANIFEST}", raw + b"\n")
