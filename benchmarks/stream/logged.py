"""What stands in the inference log."""

import io
from collections.abc import Iterator

from adapters.parquet_log import ROOT
from adapters.storage import Storage


def entry_ids(storage: Storage) -> Iterator[str]:
    """The id of every entry, as often as it stands there. Imports pyarrow."""
    import pyarrow.parquet as pq

    for file in storage.list(ROOT):
        if file.path.endswith(".parquet"):
            data = io.BytesIO(storage.read(file.path))
            yield from pq.read_table(data, columns=["entry_id"])["entry_id"].to_pylist()
