"""Frames of a spool segment to a table of the inference log.

Once for all frames: a table for each request costs more than scoring it.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from adapters.parquet_log import arrow_array, log_schema
from adapters.spool_frame import CellLayout, Frame, decode_frame
from adapters.spool_segment import Segment, UnreadableSegment
from scoring.inference_log import KEY_COLUMNS, SCHEMA_VERSION
from scoring.model import ModelDescription
from scoring.records import Column

FRAMES_AT_ONCE: Final = 2048
"""Decoded, a frame takes about ten times as much memory as in its file."""


def segment_table(segment: Segment) -> pa.Table:
    """All entries of a segment, which has some, as one table of the inference log.

    Raises UnreadableSegment when the frames do not fit the header's model.
    """
    payloads = segment.payloads
    parts = [payloads[i : i + FRAMES_AT_ONCE] for i in range(0, len(payloads), FRAMES_AT_ONCE)]
    try:
        return pa.concat_tables(
            [_table(segment.model, list(map(decode_frame, part))) for part in parts]
        )
    except (msgspec.DecodeError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        name = type(error).__name__
        raise UnreadableSegment(name, segment.entries, segment.model.version) from error


def _table(model: ModelDescription, frames: list[Frame]) -> pa.Table:
    """The scored entries of every frame, then the rejected ones of every frame."""
    schema = log_schema(model.schema, model.output_columns)
    frames.sort(key=_records)
    scored, missing = sum(map(_records, frames)), sum(len(frame.rejected) for frame in frames)
    columns = list(_keys(model, frames, scored, missing))
    cells = [*_cells(CellLayout.of(model), frames, scored), _outlier_scores(frames, scored)]
    for field, column in zip(list(schema)[len(columns) :], cells, strict=True):
        values = arrow_array(column, field.type)
        nulls = [pa.nulls(missing, field.type)] if missing else []
        columns.append(pa.concat_arrays([values, *nulls]))
    return pa.Table.from_arrays(columns, schema=schema)


def _records(frame: Frame) -> int:
    """How many records of the frame were scored."""
    return len(frame.record_ids)


def _keys(
    model: ModelDescription, frames: Sequence[Frame], scored: int, missing: int
) -> Iterator[pa.Array]:
    count, version = scored + missing, model.version
    rejections = [rejection for frame in frames for rejection in frame.rejected]
    sizes = [*map(_records, frames), *(len(frame.rejected) for frame in frames)]
    of_frame = pa.array(np.repeat(np.tile(np.arange(len(frames)), 2), sizes))
    every = {
        "schema_version": SCHEMA_VERSION,
        "model_name": version.name,
        "model_version": version.version,
        "model_digest": version.digest,
    }
    kinds = {field.name: field.type for field in log_schema(model.schema, ())}
    for name in KEY_COLUMNS:
        kind = kinds[name]
        if name in every:
            yield pa.repeat(pa.scalar(every[name], kind), count)
        elif name in ("lane", "scored_at"):
            values = [getattr(frame, name) for frame in frames]
            yield pa.array(values, kind).take(of_frame)
        elif name == "request_id":
            yield _per_entry([frame.request_id for frame in frames], frames, of_frame, kind)
        elif name == "record_id":
            ids = chain.from_iterable(frame.record_ids for frame in frames)
            yield pa.array([*ids, *(record_id for record_id, _ in rejections)], kind)
        elif name == "entry_id":
            yield pa.array(_scored_first([frame.entry_ids for frame in frames], frames), kind)
        elif name == "event_time":
            yield _per_entry([frame.event_times for frame in frames], frames, of_frame, kind)
        elif name == "outcome":
            parts = (("scored", scored), ("rejected", missing))
            yield pa.concat_arrays([pa.repeat(pa.scalar(text, kind), n) for text, n in parts])
        else:
            yield pa.array([None] * scored + [str(code) for _, code in rejections], kind)


def _per_entry(
    values: Sequence[Any], frames: Sequence[Frame], of_frame: pa.Array, kind: pa.DataType
) -> pa.Array:
    """One item for each entry, of values that are a frame's own or a list with one per entry."""
    if list not in map(type, values):
        return pa.array(values, kind).take(of_frame)
    lists = [
        value if isinstance(value, list) else [value] * len(frame.entry_ids)
        for frame, value in zip(frames, values, strict=True)
    ]
    return pa.array(_scored_first(lists, frames), kind)


def _scored_first(of_frames: Sequence[list[Any]], frames: Sequence[Frame]) -> list[Any]:
    """One item for each entry: those of the scored ones, then those of the rejected ones."""
    if not any(frame.rejected for frame in frames):
        return list(chain.from_iterable(of_frames))
    parts = [(items, _records(frame)) for items, frame in zip(of_frames, frames, strict=True)]
    scored = [item for items, count in parts for item in items[:count]]
    return scored + [item for items, count in parts for item in items[count:]]


def _cells(layout: CellLayout, frames: Sequence[Frame], scored: int) -> list[Column]:
    """The columns of features and outputs. Neighbours with as many records are read at once."""
    places = [place for _, of in layout.numbers for place in of]
    dtypes = {place: kind for kind, of in layout.numbers for place in of}
    columns = {place: np.empty(scored, dtypes[place]) for place in places}
    columns |= {place: np.empty(scored, object) for place in layout.objects}
    start = 0
    for size, group in groupby(frames, key=_records):
        alike = list(group)
        stop = start + size * len(alike)
        raw = np.frombuffer(b"".join([frame.numbers for frame in alike]), np.uint8)
        raw = raw.reshape(len(alike), size * layout.width)
        offset = 0
        for kind, of in layout.numbers:
            end = offset + kind.itemsize * size * len(of)
            block: Any = np.ascontiguousarray(raw[:, offset:end]).view(kind)
            _spread(columns, of, slice(start, stop), block.reshape(len(alike), len(of), size))
            offset = end
        cells: Any = np.empty(len(alike) * len(layout.objects) * size, object)
        cells[:] = list(chain.from_iterable(frame.objects for frame in alike))
        cells = cells.reshape(len(alike), len(layout.objects), size)
        _spread(columns, layout.objects, slice(start, stop), cells)
        start = stop
    return [columns[place] for place in range(len(columns))]


def _spread(
    columns: dict[int, Column], places: tuple[int, ...], rows: slice, block: Column
) -> None:
    """Put a block of shape (frames, places, records of a frame) into rows of its columns."""
    for position, place in enumerate(places):
        columns[place][rows] = block[:, position].reshape(-1)


def _outlier_scores(frames: Sequence[Frame], scored: int) -> Column:
    """Null where there is no detector."""
    raw = b"".join([frame.outlier_scores or b"" for frame in frames])
    return np.frombuffer(raw, np.float64) if raw else np.full(scored, np.nan)
