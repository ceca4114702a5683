"""The parts of a run as rows of two Delta tables, `scores` and `rejected` below the output."""

import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.delta_tables import write_table
from adapters.storage import Storage
from batch_scorer.delivery.columns import RUN_ID
from batch_scorer.delivery.parts import KINDS, PartEncoder
from batch_scorer.plan import Plan
from batch_scorer.run_manifest import run_directory
from scoring.errors import InputError, ServiceUnavailable, StorageUnavailable, TransientError

_READ_AHEAD: Final = 8
_ATTEMPTS: Final = 4


def deliver_delta(
    output: Storage,
    secret: str | None,
    plan: Plan,
    encoder: PartEncoder,
    retry_seconds: float = 0.0,
) -> None:
    """Put the parts of a run, which must be tidy, into the tables of all runs.

    Each table is partitioned by `run_id` and gets one commit, which replaces what it had of this
    run: repeating it, also after it was killed, gives the run once. Columns the table lacks are
    added, and null in the rows of other runs. In memory are the names of the parts and a few of
    them. Blocks on storage. Raises InputError for a part that is damaged, StorageUnavailable, and
    what `write_table` raises.
    """
    for kind in KINDS:
        parts = [i.path for i in output.list(f"{run_directory(plan.run_id)}/{kind}")]
        begin = partial(_reader, output, parts, encoder.schema(kind))
        _replace(output.url_of(kind), secret, begin, plan.run_id, retry_seconds)


def _replace(
    url: str,
    secret: str | None,
    begin: Callable[[], pa.RecordBatchReader],
    run_id: str,
    retry_seconds: float,
) -> None:
    """Begins again, a few times, when another writer made the table or changed its columns."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            write_table(url, secret, begin(), (RUN_ID, run_id), retry_seconds)
            return
        except (StorageUnavailable, ServiceUnavailable):
            raise
        except TransientError:
            if attempt == _ATTEMPTS:
                raise


def _reader(output: Storage, parts: Sequence[str], schema: pa.Schema) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(schema, _rows(output, parts))


def _rows(output: Storage, parts: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for path, data in _read(output, parts):
        try:
            yield from pq.ParquetFile(io.BytesIO(data)).iter_batches()
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{output.url_of(path)} is damaged; use --restart") from error


def _read(output: Storage, parts: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Part by part; a few are fetched ahead, because each takes a round trip."""
    paths = iter(parts)
    with ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="parts") as threads:

        def begun(count: int) -> list[tuple[str, Future[bytes]]]:
            return [(path, threads.submit(output.read, path)) for path in islice(paths, count)]

        pending = deque(begun(_READ_AHEAD))
        while pending:
            path, content = pending.popleft()
            data = content.result()
            pending.extend(begun(1))
            yield path, data
