"""The directories of a run's parts as they have to be before the run is complete."""

from collections.abc import Set as AbstractSet

from adapters.storage import Storage
from batch_scorer.delivery.parts import KINDS, PartEncoder, part_path
from batch_scorer.run_manifest import run_directory
from scoring.errors import InputError


def tidy(output: Storage, run_id: str, expected: AbstractSet[str], encoder: PartEncoder) -> None:
    """Drop what is no part of the run, and make both directories readable.

    `expected` has the paths of all parts. Others are left from an attempt with other input or
    settings. Without any row a directory gets one empty part, so that it exists and has its
    columns. Holds the names of the parts in memory. Blocks on storage; repeating it is safe. Raises
    InputError when a part is not there any more.
    """
    for kind in KINDS:
        directory = f"{run_directory(run_id)}/{kind}/"
        wanted = {path for path in expected if path.startswith(directory)}
        found = {info.path for info in output.list(directory)}
        lost = min(wanted - found, default=None)
        if lost is not None:
            raise InputError(
                f"{output.url_of(lost)} was written, but is not there any more; use --restart"
            )
        if not wanted:
            empty = part_path(kind, run_id, 0, 0, encoder.output_format)
            output.write(empty, encoder.empty(kind))
            wanted = {empty}
        for path in sorted(found - wanted):
            output.delete(path)
