"""The parts of a run as rows of two Delta tables, `scores` and `rejected` below the output.

The files of a table hold the rows of many parts each, as tables are read best.
"""

import io
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.delta_tables.replacing import NewFile, replace_partition
from adapters.storage import Storage
from batch_scorer.delivery.columns import RUN_ID
from batch_scorer.delivery.parts import KINDS, PartEncoder, parquet_options
from batch_scorer.plan import Plan
from batch_scorer.run_manifest import run_directory
from scoring.errors import InputError

_READ_AHEAD: Final = 8
FILE_BYTES: Final = 64 << 20


def deliver_delta(
    output: Storage,
    secret: str | None,
    plan: Plan,
    encoder: PartEncoder,
    retry_seconds: float = 0.0,
    file_bytes: int = FILE_BYTES,
) -> None:
    """Put the parts of a run, which must be tidy, into the tables of all runs.

    Each table is partitioned by `run_id` and gets one commit, which replaces what it had of this
    run: repeating it, also after it was killed, gives the run once. Columns the table lacks are
    added, and null in the rows of other runs. A file of a table is closed at the first part with
    which it has `file_bytes`. In memory are the names of the parts, a few parts, and one file.

    Blocks on storage. Raises InputError for a part that is damaged, StorageUnavailable, and what
    `replace_partition` raises.
    """
    for kind in KINDS:
        parts = [info.path for info in output.list(f"{run_directory(plan.run_id)}/{kind}")]
        schema, attempt, files = encoder.schema(kind), uuid.uuid4().hex, []
        for number, (data, rows) in enumerate(_joined(_tables(output, parts), schema, file_bytes)):
            path = f"{RUN_ID}={plan.run_id}/part-{number:05d}-{attempt}.parquet"
            output.write(f"{kind}/{path}", data)
            files.append(NewFile(path, len(data), rows))
        partition = (RUN_ID, plan.run_id)
        replace_partition(output.url_of(kind), secret, partition, schema, files, retry_seconds)


class _File:
    """A file of a table that is being written."""

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self._sink = io.BytesIO()
        self._writer = pq.ParquetWriter(self._sink, schema, **parquet_options(schema))

    def add(self, table: pa.Table) -> int:
        """Returns the bytes so far."""
        self._writer.write_table(table)
        self.rows += table.num_rows
        return self._sink.tell()

    def close(self) -> bytes:
        """The whole file."""
        self._writer.close()
        return self._sink.getvalue()


def _joined(
    tables: Iterator[pa.Table], schema: pa.Schema, file_bytes: int
) -> Iterator[tuple[bytes, int]]:
    """Files that have rows, with their number."""
    file: _File | None = None
    for table in tables:
        if table.num_rows:
            file = file or _File(schema)
            if file.add(table) >= file_bytes:
                yield file.close(), file.rows
                file = None
    if file is not None:
        yield file.close(), file.rows


def _tables(output: Storage, parts: Sequence[str]) -> Iterator[pa.Table]:
    for path, data in _read(output, parts):
        try:
            yield pq.read_table(io.BytesIO(data))
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
