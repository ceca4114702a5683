"""Where the entries of a spool go, and where they are counted."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

from adapters.storage import Storage
from scoring.model import ModelDescription
from scoring.records import ModelVersion

if TYPE_CHECKING:
    import pyarrow as pa


class TableLog(Protocol):
    """Where the entries of one model version end up."""

    def write_table(self, table: "pa.Table") -> None:
        """Write the rows of an inference log table; writing the same table again is safe.

        Raises TrilaneError when not everything was written.
        """
        ...


OpenSink = Callable[[ModelDescription], TableLog]
"""The sink for the entries of a model; a leftover segment may belong to any."""


class EntryCounter(Protocol):
    """Where the entries of one model version are counted; `LaneMetrics` is one."""

    def logged(self, outcome: Literal["written", "dropped"], entries: int) -> None:
        """Raises nothing."""
        ...


CounterOf = Callable[[ModelVersion], EntryCounter]
"""The counter of a model version; raises nothing."""


def parquet_sink(storage: Storage) -> OpenSink:
    """Sinks that write the Parquet inference log; imports pyarrow when the first one is opened."""

    def open_sink(model: ModelDescription) -> TableLog:
        from adapters.parquet_log import ParquetInferenceLog

        return ParquetInferenceLog(storage, model)

    return open_sink
