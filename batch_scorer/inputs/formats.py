"""What a file's name says of it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from adapters.record_files.reading import Format

FORMATS: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
"""File name endings, in any case, and the format they stand for."""

COMPRESSIONS: Final = (".gz", ".gzip", ".bz2", ".zst", ".xz")
"""Endings that may follow that of a text format; what a file is compressed with, it says itself."""

_HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


def format_of(name: str) -> Format | None:
    """The format of a file of that name, if it is one of records."""
    stem = name.lower()
    for ending in COMPRESSIONS:
        if stem.endswith(ending):
            kind = _known(stem.removesuffix(ending))
            return None if kind == "parquet" else kind
    return _known(stem)


def is_data(path: str) -> bool:
    """Whether no part of a path begins with `_` or `.`, where Spark, Delta and editors keep what is
    not data. A Hive partition `_name=value` is data.
    """
    return not any(_is_hidden(part) for part in path.split("/"))


def partitions_of(path: str) -> dict[str, str | None]:
    """The values of Hive partitions among the directories of a path, `name=value/`, decoded; of
    directories with one name the last counts.

    As Hive and Spark write it: names and values are percent-encoded, and null has a name.
    """
    values: dict[str, str | None] = {}
    for directory in path.split("/")[:-1]:
        name, separator, value = directory.partition("=")
        if separator and name:
            values[unquote(name)] = None if value == _HIVE_NULL else unquote(value)
    return values


def is_partition(directory: str) -> bool:
    """Whether a directory is a Hive partition."""
    name, separator, _ = directory.partition("=")
    return bool(separator and name)


def partition_directory(path: str) -> str | None:
    """The path of the innermost Hive partition that a file lies in, None when it lies in none."""
    directories = path.split("/")[:-1]
    while directories and not is_partition(directories[-1]):
        directories.pop()
    return "/".join(directories) or None


def _known(name: str) -> Format | None:
    return next((kind for ending, kind in FORMATS.items() if name.endswith(ending)), None)


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or (part.startswith("_") and not is_partition(part))
