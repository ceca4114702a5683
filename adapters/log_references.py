"""The inference log by reference: one small file stands for the entries of a piece of a run.

`inference-log/model=<name>/version=<v>/date=<d>/hour=<h>/_ref-<hash>.json`. What the entries say is
in the input file and in the run's part files already; `adapters.log_resolution` makes them from
there. The hash is that of run, file and piece, so a repeat replaces its file. Readers of Parquet
directories pass over names that begin with an underscore.
"""

from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from adapters.parquet_log import partition
from adapters.record_files.chunks import Position, ReadOptions
from adapters.record_files.reading import Format
from adapters.storage import Storage
from scoring.identifiers import derived_id
from scoring.records import ModelVersion

REFERENCE_VERSION: Final = 1

_PREFIX: Final = "_ref-"
_SUFFIX: Final = ".json"


class ReferencedInput(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a piece: where they lie, and how they were read.

    `path` is relative to the URL `storage` (empty when that is the one file). `etag` is that of the
    content that was scored, None where no file is ever changed, as in a Delta table. The rest is
    what `read_chunks` takes; `chunk_records` is its limit.
    """

    storage: str
    path: str
    size: int
    etag: str | None
    format: Format
    record_id_column: str
    chunk_records: int
    options: ReadOptions
    start: Position
    groups: tuple[int, int] | None


class UnitParts(msgspec.Struct, frozen=True):
    """The Parquet part files of one unit, as paths below the output; None where there is none."""

    scores: str | None
    rejected: str | None


class LogReference(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of one piece of one file of a run.

    `request_id` is the run's id and `file` the name that entry ids are made with. `started_at`
    tells a run from one of the same id that was begun anew. `output` is the URL of the run's
    output; `units` are the piece's, in order. No URL carries a secret. `scored` plus `rejected` is
    `received`.
    """

    schema_version: int = REFERENCE_VERSION
    lane: Literal["batch"] = "batch"
    request_id: str
    file: str
    piece: int
    model_name: str
    model_version: str
    model_digest: str
    event_time: datetime
    started_at: datetime
    scored_at: datetime
    input: ReferencedInput
    output: str
    units: list[UnitParts]
    received: int
    scored: int
    rejected: int


def reference_path(reference: LogReference) -> str:
    """Where the reference lies: the same for the same piece of a run, whenever it was logged."""
    version = ModelVersion(reference.model_name, reference.model_version, reference.model_digest)
    hour = reference.event_time.astimezone(UTC)
    named = derived_id(reference.request_id, reference.file, str(reference.piece))
    return f"{partition(version, hour)}/{_PREFIX}{named[:24]}{_SUFFIX}"


def is_reference(path: str) -> bool:
    """Whether a file of the inference log is a reference."""
    name = path.rpartition("/")[2]
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def write_reference(storage: Storage, reference: LogReference) -> None:
    """Log the entries of a piece, instead of those that an earlier attempt logged; a piece without
    any has no file. Blocks on storage. Raises StorageUnavailable.
    """
    path = reference_path(reference)
    if reference.units:
        storage.write(path, msgspec.json.encode(reference))
    else:
        storage.delete(path)


def read_reference(storage: Storage, path: str) -> LogReference:
    """One reference. Blocks on storage. Raises InputError when it is gone, StorageUnavailable, and
    ValueError when it is damaged or of a later version.
    """
    raw = storage.read(path)
    reference = msgspec.json.decode(raw, type=LogReference)
    if reference.schema_version != REFERENCE_VERSION:
        raise ValueError(f"{storage.url_of(path)} has version {reference.schema_version}")
    return reference
