"""Finding files of records: one, those below a prefix, those of a glob, those of a Delta table."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.delta_tables import DeltaSnapshot, read_table
from adapters.storage import FileInfo, Storage, open_storage
from batch_scorer.inputs.formats import (
    COMPRESSIONS,
    FORMATS,
    format_of,
    is_data,
    is_partition,
    partitions_of,
)
from batch_scorer.inputs.globs import matches
from batch_scorer.inputs.opening import open_input, split_token
from batch_scorer.plan import PlannedFile
from scoring.errors import InputError

_DELTA_LOG = "_delta_log"


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in an input, in the order of paths; the files are not planned yet.

    `hidden` and `unknown` are the paths that were left out: for a name that begins with `_` or `.`,
    and for an ending that stands for no format. `table_version` is that of a Delta table.
    """

    storage: Storage
    files: list[PlannedFile]
    hidden: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    table_version: int | None = None


def find_files(url: str, secret: str | None = None, retry_seconds: float = 0.0) -> Listing:
    """The files of an input; blocks on storage.

    Everything in or below a name that begins with `_` or `.` is left out, but for the part of the
    URL before the first wildcard. A file that is named itself needs a known ending. Raises
    InputError when nothing is left, or when files of a Delta table would be read past its log,
    which says which of them are of the table; StorageUnavailable, ConfigurationError.
    """
    storage, pattern = open_input(url, secret, retry_seconds)
    if pattern is None and storage.exists(_DELTA_LOG):
        return _of_table(storage, read_table(url, secret, retry_seconds))
    _, token = split_token(url)
    _check_no_partition_of_table(storage, token, secret, retry_seconds)
    infos = storage.list()
    if not infos:
        raise InputError(f"{storage.url} does not exist or holds no files")
    wanted = [i for i in infos if pattern is None or matches(i.path, pattern)]
    if not wanted:
        raise InputError(f"{storage.url}: no file matches {pattern}")
    listing = _of_files(storage, wanted)
    if not listing.files:
        endings = ", ".join(FORMATS)
        raise InputError(
            f"{storage.url}: no file ends in {endings}, or in {', '.join(COMPRESSIONS)} behind that"
        )
    _check_no_table(storage, infos, listing.files)
    return listing


def _of_files(storage: Storage, infos: Sequence[FileInfo]) -> Listing:
    listing = Listing(storage, [])
    for info in infos:
        url = storage.url_of(info.path).rstrip("/")
        name = url.rpartition("/")[2]
        kind = format_of(name)
        if not is_data(info.path):
            listing.hidden.append(info.path)
        elif kind is None:
            listing.unknown.append(info.path or name)
        else:
            planned = PlannedFile(
                index=len(listing.files),
                file=info.path or name,
                path=info.path,
                url=url,
                size=info.size,
                etag=info.etag,
                format=kind,
                partitions=partitions_of(_path_of(url)),
            )
            listing.files.append(planned)
    return listing


def _of_table(storage: Storage, table: DeltaSnapshot) -> Listing:
    files = [
        PlannedFile(
            index=index,
            file=file.path,
            path=file.path,
            url=storage.url_of(file.path),
            size=file.size,
            etag=f"{file.size}-{file.path}",  # files of a table are never changed
            format="parquet",
            partitions=file.partitions,
            rows=file.rows,
            of_table=True,
        )
        for index, file in enumerate(table.files)
    ]
    return Listing(storage, files, table_version=table.version)


def _check_no_table(
    storage: Storage, infos: Sequence[FileInfo], files: Sequence[PlannedFile]
) -> None:
    """Files of a table that were replaced lie beside those that count."""
    tables = {f"/{i.path}".partition(f"/{_DELTA_LOG}/")[0] for i in infos if _DELTA_LOG in i.path}
    for file in files:
        directories = f"/{file.path}".split("/")[:-1]
        for depth in range(1, len(directories) + 1):
            if (table := "/".join(directories[:depth])) in tables:
                _refuse(storage.url_of(table.lstrip("/")))


def _check_no_partition_of_table(
    storage: Storage, token: str, secret: str | None, retry_seconds: float
) -> None:
    parent = storage.url.rstrip("/")
    while is_partition(parent.rpartition("/")[2]):
        parent = parent.rpartition("/")[0]
    if parent == storage.url.rstrip("/"):
        return
    if open_storage(parent + token, secret, retry_seconds).exists(_DELTA_LOG):
        _refuse(parent)


def _refuse(table: str) -> None:
    raise InputError(
        f"{table.rstrip('/')} is a Delta table, whose log says which files count: "
        "name the table itself by --input"
    )


def _path_of(url: str) -> str:
    """Without scheme and authority."""
    return url.partition("://")[2].partition("/")[2]
