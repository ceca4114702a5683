"""Delta tables: the only door to the package `deltalake`.

A log says which Parquet files are of a table; it is Delta's protocol ("Delta Transaction Log
Protocol", github.com/delta-io/delta, PROTOCOL.md).
"""

from adapters.delta_tables.reading import DeltaFile, DeltaSnapshot, read_table
from adapters.delta_tables.replacing import NewFile, replace_partition

__all__ = ["DeltaFile", "DeltaSnapshot", "NewFile", "read_table", "replace_partition"]
