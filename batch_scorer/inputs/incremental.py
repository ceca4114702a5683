"""Scoring only what is new: which files and partitions complete runs have scored.

`<output>/_trilane/incremental.json` has, for each input URL, the files by path with their etags,
and the Hive partitions they lay in. It grows with what lies in the input: files and partitions that
are not there any more are forgotten.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import msgspec

from adapters.storage import Storage, open_storage
from batch_scorer.inputs.formats import partition_directory
from batch_scorer.inputs.opening import split_token
from batch_scorer.plan import PlannedFile
from batch_scorer.run_manifest import RunManifest
from scoring.errors import InputError

Mode = Literal["none", "files", "partitions"]

STATE: Final = "_trilane/incremental.json"
"""Below the output."""
LEASE_SECONDS: Final = 60.0


class Scored(msgspec.Struct, frozen=True):
    """What complete runs have scored of one input: etags by file, and partitions, sorted."""

    files: dict[str, str] = {}
    partitions: list[str] = []


class _State(msgspec.Struct, frozen=True):
    format: int = 1
    inputs: dict[str, Scored] = {}


def read_state(output: Storage, input_url: str) -> Scored:
    """What complete runs have scored of an input. Blocks on storage. Raises InputError for a state
    file that cannot be read.
    """
    return _read(output).inputs.get(_key(input_url), Scored())


def left_out(
    scored: Scored, mode: Mode, files: Sequence[PlannedFile], keep: Iterable[str] = ()
) -> tuple[list[PlannedFile], list[PlannedFile]]:
    """The files to score, and those to leave out; `keep` names files that are to be scored anyway.

    `files` leaves out a file that was scored with the same etag. `partitions` leaves out a file
    that lies in a Hive partition of which any file was scored, whatever came into it or changed in
    it since; files outside of partitions are treated as by `files`.
    """
    kept, partitions = frozenset(keep), frozenset(scored.partitions)

    def is_done(file: PlannedFile) -> bool:
        if mode == "none" or file.file in kept:
            return False
        partition = partition_directory(file.file) if mode == "partitions" else None
        if partition is not None:
            return partition in partitions
        return scored.files.get(file.file) == file.etag

    done = [is_done(file) for file in files]
    return (
        [file for file, out in zip(files, done, strict=True) if not out],
        [file for file, out in zip(files, done, strict=True) if out],
    )


def remember(
    output: Storage,
    input_url: str,
    manifest: RunManifest,
    wait_seconds: float = LEASE_SECONDS,
) -> None:
    """Add what a complete run has scored; a repeat changes nothing. Blocks on storage.

    Runs that end at the same time wait for each other; raises LeaseHeld when that takes longer than
    `wait_seconds`, InputError, StorageUnavailable.
    """
    scored = {each.file: each.etag for each in manifest.inputs if each.error is None}
    if manifest.outcome != "complete" or not scored:
        return
    partitions = {p for file in scored if (p := partition_directory(file)) is not None}

    def added(before: Scored) -> Scored:
        return Scored(before.files | scored, sorted(partitions.union(before.partitions)))

    _change(output, input_url, added, wait_seconds)


def forget(output: Storage, input_url: str, listed: Sequence[PlannedFile]) -> None:
    """Drop files and partitions that an input has no more. Blocks on storage; raises as `remember`
    does.
    """
    names = {file.file for file in listed}
    partitions = {partition_directory(file.file) for file in listed}

    def remaining(before: Scored) -> Scored:
        return Scored(
            {file: etag for file, etag in before.files.items() if file in names},
            [partition for partition in before.partitions if partition in partitions],
        )

    standing = read_state(output, input_url)
    if remaining(standing) != standing:
        _change(output, input_url, remaining, LEASE_SECONDS)


def _change(
    output: Storage, input_url: str, change: Callable[[Scored], Scored], wait_seconds: float
) -> None:
    key = _key(input_url)
    lease = output.lease(STATE)
    lease.acquire(wait_seconds)
    with lease:
        state = _read(output)
        before = state.inputs.get(key, Scored())
        after = change(before)
        if after == before:
            return
        lease.check()
        inputs = state.inputs | {key: after}
        output.write(STATE, msgspec.json.encode(_State(inputs=inputs), order="sorted"))


def _read(output: Storage) -> _State:
    if not output.exists(STATE):
        return _State()
    try:
        state = msgspec.json.decode(output.read(STATE), type=_State)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{output.url_of(STATE)} does not say which files were scored; "
            "remove it to score all of them again"
        ) from error
    if state.format != 1:
        raise InputError(f"{output.url_of(STATE)} is of a later version")
    return state


def _key(input_url: str) -> str:
    """One spelling of an input, without secrets; nothing is asked of the storage."""
    plain, _ = split_token(input_url)
    return (plain if "://" in plain else open_storage(plain).url).rstrip("/")
