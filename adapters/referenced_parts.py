"""What the part files of a run say of one unit: columns of its scored and of its rejected rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from adapters.log_references import UnitParts
from adapters.parquet_log import OUTPUT_TYPES
from adapters.storage import Storage
from scoring.errors import InputError
from scoring.inference_log import OUTLIER_COLUMN
from scoring.manifest import OutputColumn

_REJECTED: Final = {"record_id": pa.string(), "row": pa.int64(), "code": pa.string()}
_PREFIX: Final = "output."


@dataclass(frozen=True, slots=True)
class Parts:
    """One unit. `outputs` has an array per output of the model, in its order."""

    rows: NDArray[np.int64]
    record_ids: pa.Array
    outputs: tuple[pa.Array, ...]
    outlier_scores: pa.Array
    rejected_rows: NDArray[np.int64]
    rejected_ids: pa.Array
    codes: pa.Array


def read_parts(output: Storage, unit: UnitParts, outputs: Sequence[OutputColumn]) -> Parts:
    """The parts of a unit; one that the unit does not have counts as without rows.

    Blocks on storage. Raises InputError when a part is gone, damaged, or has other columns than the
    parts of a model with these outputs; StorageUnavailable.
    """
    kinds = [pa.string(), *(OUTPUT_TYPES[c.type] for c in outputs), pa.float64(), pa.int64()]
    scored = [pa.array([], kind) for kind in kinds]
    rejected = [pa.array([], kind) for kind in _REJECTED.values()]
    if unit.scores is not None:
        scored = _columns(output, unit.scores, kinds, outputs)
    if unit.rejected is not None:
        rejected = _columns(output, unit.rejected, list(_REJECTED.values()))
    ids, *values, outlier_scores, rows = scored
    rejected_ids, rejected_rows, codes = rejected
    return Parts(
        rows.to_numpy(zero_copy_only=False),
        ids,
        tuple(values),
        outlier_scores,
        rejected_rows.to_numpy(zero_copy_only=False),
        rejected_ids,
        codes,
    )


def _columns(
    output: Storage,
    path: str,
    kinds: Sequence[pa.DataType],
    outputs: Sequence[OutputColumn] | None = None,
) -> list[pa.Array]:
    data = output.read(path)
    try:
        part = pq.ParquetFile(pa.BufferReader(data))
        names = part.schema_arrow.names
        wanted = list(_REJECTED) if outputs is None else _score_columns(names, outputs)
        table = part.read(columns=wanted, use_threads=False)
        arrays = [
            table[name].cast(kind).combine_chunks()
            for name, kind in zip(wanted, kinds, strict=True)
        ]
        if arrays[wanted.index("row")].null_count:
            raise ValueError("a row without its number")
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{output.url_of(path)} is no readable part of a run") from error
    return arrays


def _score_columns(names: Sequence[str], outputs: Sequence[OutputColumn]) -> list[str]:
    """The names of ids, outputs, outlier scores and rows in a part, which has the outputs behind
    the ids; one that would meet another column has a prefix.
    """
    found = list(names[1 : len(outputs) + 1])
    for name, output in zip(found, outputs, strict=True):
        if name not in (output.name, f"{_PREFIX}{output.name}"):
            raise KeyError(output.name)
    return ["record_id", *found, OUTLIER_COLUMN, "row"]
