"""Workforces of any size: the shipped example's table, drawn with replacement and with noise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from training.data import FEATURES, ID, NUMERIC_FEATURES, TEXT_FEATURES, load_employees

SEED: Final = 7
BLOCK: Final = 500_000
"""Rows that are made at once; also those of a row group."""


def write_parquet(path: Path, rows: int) -> None:
    """`rows` employees; nothing happens when the file exists already."""
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    with pq.ParquetWriter(partial, _SCHEMA) as writer:
        for block in _blocks(rows):
            writer.write_table(block, row_group_size=BLOCK)
    partial.rename(path)


def write_csv(path: Path, rows: int) -> None:
    """The same employees as `write_parquet` gives."""
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    with pc.CSVWriter(partial, _SCHEMA, write_options=pc.WriteOptions(quoting_style="none")) as to:
        for block in _blocks(rows):
            to.write_table(block)
    partial.rename(path)


def write_files(directory: Path, files: int, rows: int) -> None:
    """`files` Parquet and CSV files by turns, of `rows` employees each."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, block in enumerate(_blocks(files * rows, rows)):
        name = directory / f"part-{number:04d}"
        if number % 2:
            pc.write_csv(block, name.with_suffix(".csv"))
        else:
            pq.write_table(block, name.with_suffix(".parquet"), row_group_size=rows // 4)


_SCHEMA: Final = pa.schema(
    [
        pa.field(ID, pa.int64()),
        *(pa.field(n, pa.string() if n in TEXT_FEATURES else pa.int64()) for n in FEATURES),
    ]
)


def _blocks(rows: int, size: int = BLOCK) -> Iterator[pa.Table]:
    inputs = load_employees(None).inputs
    random = np.random.default_rng(SEED)
    for start in range(0, rows, size):
        count = min(size, rows - start)
        places = random.integers(0, len(inputs), count)
        columns: dict[str, pa.Array] = {ID: pa.array(np.arange(start + 1, start + count + 1))}
        for name in FEATURES:
            values = inputs[name].to_numpy()
            if name in TEXT_FEATURES:
                columns[name] = pa.array(values.tolist(), pa.string()).take(pa.array(places))
            else:
                columns[name] = pa.array(_noisy(values, places, random))
        yield pa.table(columns, schema=_SCHEMA)


def _noisy(
    values: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    places: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    random: np.random.Generator,
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Within the range of the column; the wider the range, the more values are new."""
    spread = max(1.0, float(values.std()) * 0.1)
    noise = np.rint(random.normal(0.0, spread, len(places))).astype(np.int64)
    noisy: np.ndarray[tuple[int], np.dtype[np.int64]] = np.clip(
        values[places].astype(np.int64) + noise, values.min(), values.max()
    )
    return noisy


assert set(NUMERIC_FEATURES) | set(TEXT_FEATURES) == set(FEATURES)  # noqa: S101
