"""The first rows of some files: which of them are valid, and what is wrong with the others."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeVar

from adapters.record_files.chunks import Chunk, ReadOptions, Source
from adapters.record_files.reading import read_chunks
from adapters.record_files.text_stream import TextStream
from adapters.storage import Storage
from batch_scorer.plan import PlannedFile
from scoring.errors import InputError
from scoring.schema import Schema

MOST_FILES: Final = 20
MOST_ROWS: Final = 1_000
"""Of a file."""

_HEADER_BYTES: Final = 1 << 16
_CELLS: Final = re.compile(r"[,;|\t]")
_UNLIKE: Final = re.compile(r"[\W_]+")

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the first rows of a file are like; no value of them is in it.

    `codes` are those of the rejected rows, `broken` how many rows broke a rule of that code in a
    field. `missing` are features, and the id column, that no row has; `unknown` what the model does
    not know. `error` says why the file cannot be read, and `unknown` the columns it has instead.
    """

    rows: int = 0
    valid: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    error: str | None = None


def evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    """So many of the items, from the first to the last, at equal distances."""
    if len(items) <= most:
        return list(items)
    return [items[place * (len(items) - 1) // (most - 1)] for place in range(most)]


def sample(
    storage: Storage, file: PlannedFile, schema: Schema, id_column: str, options: ReadOptions
) -> Sample:
    """The sample of a file that has no error yet. Blocks on storage; raises StorageUnavailable,
    ConfigurationError.
    """
    chunks = read_chunks(
        storage,
        file.path,
        file.url,
        file.size,
        file.format,
        schema,
        id_column,
        MOST_ROWS,
        options,
    )
    try:
        chunk = next(chunks, None)
    except InputError as error:
        names = () if file.format == "parquet" else _header(storage, file, options)
        if schema.known.isdisjoint(names):  # maybe no header: then these are values
            names = ()
        return Sample(missing=(id_column,), unknown=names, error=str(error))
    return Sample() if chunk is None else _checked(chunk, schema, id_column)


def suggested(missing: Iterable[str], unknown: Iterable[str]) -> dict[str, str]:
    """New names for columns that are those missing but for case, spaces and underscores; none where
    that is not clear.
    """
    wanted = _by_likeness(missing)
    found = _by_likeness(unknown)
    return {
        theirs[0]: wanted[key][0]
        for key, theirs in sorted(found.items())
        if len(theirs) == 1 and len(wanted.get(key, ())) == 1 and theirs != wanted[key]
    }


def _checked(chunk: Chunk, schema: Schema, id_column: str) -> Sample:
    rejections = chunk.located(chunk.validate(schema).rejections)
    records = chunk.records
    names = set(records) if isinstance(records, Mapping) else set(chain.from_iterable(records))
    missing = [f.name for f in schema.features if f.required and f.name not in names]
    if all(record_id is None for record_id in chunk.record_ids):
        missing.append(id_column)
    broken = Counter(
        (violation.field, str(violation.code))
        for rejection in rejections
        for violation in rejection.violations
        if violation.field is not None
    )
    return Sample(
        rows=len(chunk),
        valid=len(chunk) - len(rejections),
        codes=Counter(str(rejection.code) for rejection in rejections),
        broken=broken,
        missing=tuple(missing) if chunk.rows else (),
        unknown=tuple(sorted(names - schema.known - {id_column})),
    )


def _header(storage: Storage, file: PlannedFile, options: ReadOptions) -> tuple[str, ...]:
    """The cells of the first line, however it is separated; none of a file that is no text."""
    try:
        with storage.open(file.path) as opened:
            text = TextStream(opened, Source(file.url, file.size), options.dialect.encoding)
            head = b""
            while b"\n" not in head and len(head) < _HEADER_BYTES and (more := text.read(1 << 12)):
                head += more
        line = head.partition(b"\n")[0].decode("utf-8")
    except (InputError, UnicodeDecodeError):
        return ()
    quote = options.dialect.quote
    return tuple(cell.strip().strip(quote) for cell in _CELLS.split(line) if cell.strip())


def _by_likeness(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        found.setdefault(_UNLIKE.sub("", name).casefold(), []).append(name)
    return found
