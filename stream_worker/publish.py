"""`trilane publish FILE|-`: publish records as CloudEvents, keyed by record id."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from adapters.settings import run_command
from scoring.errors import ConfigurationError, InputError
from stream_worker.settings import PublishSettings

if TYPE_CHECKING:
    from adapters.event_hub.messages import Outgoing
    from adapters.record_files.chunks import Chunk

_CHUNK_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A record and its id. The id column is part of `fields` only where the model has a feature of
    that name.
    """

    record_id: str
    fields: dict[str, Any]


def run(settings: PublishSettings) -> None:
    """Publish every record of the file; prints how many. Raises TrilaneError.

    On an error the records before it may have been published; with derived ids a rerun with the
    same event time repeats their ids.
    """
    import asyncio

    with _opened(settings.file) as file:
        count = asyncio.run(_publish(settings, file))
    print(f"published {count} events to {settings.events_hub}")


async def _publish(settings: PublishSettings, file: IO[bytes]) -> int:
    from adapters.event_hub.opening import open_writer

    time = settings.time_of_events()
    chunks = read_records(settings, file)
    published = 0
    async with open_writer(settings.connection(), (settings.events_hub,)) as writer:
        for records in chunks:
            await writer.write([_event(settings, record, time) for record in records])
            published += len(records)
            _show_progress(f"\r{published:,} events published")
    _show_progress("\n")
    return published


def read_records(settings: PublishSettings, file: IO[bytes]) -> Iterator[list[FileRecord]]:
    """The file's records, some at a time, without the fields that the model ignores.

    Raises ConfigurationError for CSV without a bundle. While it is read, InputError names the first
    row that is no record or has no usable id.
    """
    from adapters.record_files.chunks import Source
    from adapters.record_files.csv_reader import read_csv_by_rows
    from adapters.record_files.jsonl_reader import read_jsonl
    from scoring.bundle_schema import manifest_schema
    from scoring.bundles import champion_path
    from scoring.manifest import read_manifest
    from scoring.schema import Schema

    read = read_jsonl
    schema = Schema(())
    if settings.bundle is not None:
        schema = manifest_schema(read_manifest(champion_path(settings.bundle)))
    if _format(settings) == "csv":
        if settings.bundle is None:
            raise ConfigurationError("CSV carries no types: name the model's bundle with --bundle")
        read = read_csv_by_rows
    source, id_column = Source(settings.file), settings.record_id_column
    chunks = read(file, source, schema, id_column, _CHUNK_RECORDS)
    return _records(settings, chunks, schema.ignored)


def _records(
    settings: PublishSettings, chunks: "Iterator[Chunk]", ignored: frozenset[str]
) -> Iterator[list[FileRecord]]:
    for chunk in chunks:
        for row, violation in chunk.unreadable:
            raise InputError(f"{settings.file}: row {row} {violation.rule}")
        yield [
            FileRecord(
                _subject(record_id, settings, row),
                {name: value for name, value in fields.items() if name not in ignored},
            )
            for row, record_id, fields in zip(
                chunk.rows, chunk.record_ids, chunk.as_rows(), strict=True
            )
        ]


def _subject(value: Any, settings: PublishSettings, row: int) -> str:
    from scoring.validation import RECORD_ID_RULE, as_record_id

    record_id = as_record_id(value)
    if record_id is None:
        column = settings.record_id_column
        raise InputError(f"{settings.file}: row {row}: '{column}' {RECORD_ID_RULE}")
    return record_id


def _format(settings: PublishSettings) -> str:
    if settings.format != "auto":
        return settings.format
    return "csv" if Path(settings.file).suffix.lower() == ".csv" else "jsonl"


def _event(settings: PublishSettings, record: FileRecord, time: datetime) -> "Outgoing":
    import uuid

    from adapters.event_hub.cloudevents import encode, outgoing
    from scoring.identifiers import derived_id

    derived = derived_id(settings.source, record.record_id, time.isoformat())
    value = encode(
        event_id=derived if settings.ids == "derived" else uuid.uuid4().hex,
        source=settings.source,
        kind=settings.event_type,
        subject=record.record_id,
        time=time,
        data=record.fields,
    )
    return outgoing(settings.events_hub, record.record_id, value)


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 (an error of the block is not one of opening)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error
    with file:
        yield file


def _show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(text, end="", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(
        PublishSettings,
        run,
        argv,
        prog="trilane publish",
        description="Publish the records of a CSV or JSON Lines file as CloudEvents.",
    )


if __name__ == "__main__":
    raise SystemExit(main())
