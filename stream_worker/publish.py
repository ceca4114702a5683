"""`trilane publish FILE|-`: publish records as CloudEvents, keyed by record id."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

from adapters.settings import run_command
from scoring.errors import ConfigurationError, InputError
from stream_worker.settings import PublishSettings

if TYPE_CHECKING:
    from adapters.event_hub import Outgoing
    from stream_worker.record_files import FileRecord

_CHUNK_RECORDS = 1000


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
    from adapters.event_hub import EventHubWriter

    time = settings.time_of_events()
    records = _records(settings, file)
    published = 0
    async with EventHubWriter(settings.connection(), (settings.events_hub,)) as writer:
        while chunk := list(islice(records, _CHUNK_RECORDS)):
            await writer.write([_event(settings, record, time) for record in chunk])
            published += len(chunk)
            _show_progress(f"\r{published:,} events published")
    _show_progress("\n")
    return published


def _records(settings: PublishSettings, file: IO[bytes]) -> "Iterator[FileRecord]":
    from scoring.bundle_schema import manifest_schema
    from scoring.manifest import read_manifest
    from stream_worker.record_files import read_csv, read_json_lines

    schema = None if settings.bundle is None else manifest_schema(read_manifest(settings.bundle))
    if _format(settings) == "jsonl":
        return read_json_lines(file, schema, settings.record_id_column)
    if schema is None:
        raise ConfigurationError("CSV carries no types: name the model's bundle with --bundle")
    return read_csv(file, schema, settings.record_id_column)


def _format(settings: PublishSettings) -> str:
    if settings.format != "auto":
        return settings.format
    return "csv" if Path(settings.file).suffix.lower() == ".csv" else "jsonl"


def _event(settings: PublishSettings, record: "FileRecord", time: datetime) -> "Outgoing":
    import uuid

    from scoring.identifiers import derived_id
    from stream_worker.cloudevents import encode, outgoing

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
