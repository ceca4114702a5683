"""A dry run in words."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from batch_scorer.inputs.chosen import Chosen
from batch_scorer.inputs.formats import partition_directory
from batch_scorer.inputs.samples import MOST_ROWS, Sample, suggested
from batch_scorer.plan import PlannedFile
from batch_scorer.settings import BatchSettings

_MOST_NAMES: Final = 10
_MOST_CHARACTERS: Final = 80
_SHOWN_BY_COLUMN: Final = ("missing_field", "unknown_field")

Samples = Sequence[tuple[PlannedFile, Sample]]


def described(
    settings: BatchSettings, chosen: Chosen, samples: Samples, misfits: Mapping[str, int]
) -> str:
    """What a run would read, what it would leave out, and what is wrong; `misfits` by the number of
    Parquet files.
    """
    lines = [
        f"dry run of {chosen.listing.storage.url}: nothing was written",
        *_files(chosen),
        *_left_out(settings, chosen),
        *_errors(chosen.files, samples),
        *_rows(chosen, samples),
        *_columns(samples, misfits),
        *_suggestions(settings, samples),
    ]
    return "\n".join(lines)


def _files(chosen: Chosen) -> Iterator[str]:
    files = chosen.files
    known = [file.rows for file in files if file.rows is not None]
    rows = f", {sum(known):,} rows in {_count(len(known), 'Parquet file')}" if known else ""
    size = sum(file.size for file in files)
    yield f"to be read: {_count(len(files), 'file')}, {size:,} bytes{rows}"
    if chosen.listing.table_version is not None:
        yield f"  version {chosen.listing.table_version} of a Delta table"
    names = dict.fromkeys(chain.from_iterable(file.partitions for file in files))
    if names:
        places = {partition_directory(file.file) for file in files} - {None}
        yield f"  partitioned by {_listed(names)}: {_count(len(places), 'partition')}"


def _left_out(settings: BatchSettings, chosen: Chosen) -> Iterator[str]:
    reasons = (
        (
            [file.file for file in chosen.scored_before],
            f"scored before, --incremental {settings.incremental}",
        ),
        (chosen.listing.hidden, "a name begins with _ or ."),
        (chosen.listing.unknown, "the ending stands for no format"),
    )
    for paths, reason in reasons:
        if paths:
            yield f"left out: {_count(len(paths), 'file')} ({reason}): {_listed(paths, 3)}"


def _errors(files: Sequence[PlannedFile], samples: Samples) -> Iterator[str]:
    errors = {file.file: file.error for file in files if file.error is not None}
    errors |= {file.file: found.error for file, found in samples if found.error is not None}
    for error in list(errors.values())[:_MOST_NAMES]:
        yield f"cannot be read: {error}"
    if len(errors) > _MOST_NAMES:
        yield f"cannot be read: {len(errors) - _MOST_NAMES:,} more files"


def _rows(chosen: Chosen, samples: Samples) -> Iterator[str]:
    if not samples:
        return
    read = [found for _, found in samples if found.error is None]
    rows, valid = sum(found.rows for found in read), sum(found.valid for found in read)
    all_files = _count(len(chosen.files), "file")
    files = all_files if len(read) == len(chosen.files) else f"{len(read):,} of {all_files}"
    yield (
        f"sampled: the first {MOST_ROWS:,} rows of {files}: "
        f"{rows:,} rows, {valid:,} valid, {rows - valid:,} rejected"
    )
    codes = sum((found.codes for found in read), Counter[str]())
    if codes:
        yield "  rejected: " + ", ".join(f"{code} {n:,}" for code, n in codes.most_common())


def _columns(samples: Samples, misfits: Mapping[str, int]) -> Iterator[str]:
    read = [found for _, found in samples if found.error is None]
    missing = Counter(chain.from_iterable(found.missing for found in read))
    unknown = Counter(chain.from_iterable(found.unknown for found in read))
    for word, names in (("missing", missing), ("unknown", unknown)):
        if names:
            yield f"  {word} columns: {_listed(_in_files(names))}"
    for reason, count in sorted(misfits.items()):
        yield f"  no value can fit, in {_count(count, 'Parquet file')}: {reason}"
    broken = sum((found.broken for found in read), Counter[tuple[str, str]]())
    for (name, code), count in broken.most_common(_MOST_NAMES):
        if code not in _SHOWN_BY_COLUMN:
            yield f"  '{_short(name)}' is {code} in {_count(count, 'row')}"


def _suggestions(settings: BatchSettings, samples: Samples) -> Iterator[str]:
    missing = chain.from_iterable(found.missing for _, found in samples)
    unknown = chain.from_iterable(found.unknown for _, found in samples)
    if names := suggested(missing, unknown):
        new = json.dumps(settings.columns | names, ensure_ascii=False)
        yield f"perhaps: --columns '{new}'"


def _in_files(names: Counter[str]) -> list[str]:
    return [f"{_short(name)} (in {_count(n, 'file')})" for name, n in names.most_common()]


def _listed(names: Iterable[str], most: int = _MOST_NAMES) -> str:
    found = list(names)
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(_short(name) for name in found[:most]) + more


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _short(name: str) -> str:
    return name if len(name) <= _MOST_CHARACTERS else f"{name[:_MOST_CHARACTERS]}…"
