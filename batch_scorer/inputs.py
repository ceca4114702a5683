"""Which files a run reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

from adapters.storage import FileInfo, Storage
from scoring.errors import InputError

Format = Literal["csv", "jsonl", "parquet"]

FORMATS: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""File name endings, in any case, and the format they stand for."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of records.

    `path` is where it lies in the input storage (empty when the storage is that one file), `name`
    the same for people and for ids; `size` is in bytes, `etag` changes with the content.
    """

    index: int
    path: str
    name: str
    url: str
    size: int
    etag: str
    format: Format


def find_inputs(storage: Storage) -> list[InputFile]:
    """The files of records in a storage, sorted by path; blocks on storage.

    Files with other endings are left out, and so is everything in or below a name that begins
    with `_` or `.`, where Spark, Delta and editors keep what is not data. A storage that is one
    file is read whatever its directory is called, but needs a known ending. Raises InputError
    when nothing is left.
    """
    found = storage.list()
    if not found:
        raise InputError(f"{storage.url} does not exist or holds no files")
    files = [
        InputFile(index, info.path, name, url, info.size, info.etag, kind)
        for index, (info, name, url, kind) in enumerate(_known(storage, found))
    ]
    if not files:
        raise InputError(f"{storage.url}: no file ends in {', '.join(FORMATS)}")
    return files


def _known(storage: Storage, found: list[FileInfo]) -> list[tuple[FileInfo, str, str, Format]]:
    known = []
    for info in filter(_is_data, found):
        url = storage.url_of(info.path).rstrip("/")
        file_name = url.rpartition("/")[2]
        kind = FORMATS.get(PurePosixPath(file_name).suffix.lower())
        if kind is not None:
            known.append((info, info.path or file_name, url, kind))
    return known


def _is_data(info: FileInfo) -> bool:
    return not any(part.startswith(("_", ".")) for part in info.path.split("/"))
