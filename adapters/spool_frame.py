"""One `LogBatch` as a frame of a spool segment.

The path of every request, so it is short: all numbers of a request are one run of bytes, all other
cells one list. What the log does not show of a request is left out.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import msgspec
import numpy as np

from adapters.spool_segment import framed
from scoring.inference_log import Lane, LogBatch
from scoring.model import ModelDescription
from scoring.outputs import OUTPUT_DTYPES
from scoring.records import RejectionCode


@dataclass(frozen=True, slots=True)
class CellLayout:
    """Where the cells of a model's records lie: places of its features and then its outputs.

    `numbers` are those of each dtype, in the order in which their bytes lie; a record's are
    `width` bytes. `objects` are the others.
    """

    numbers: tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]
    objects: tuple[int, ...]

    @classmethod
    def of(cls, model: ModelDescription) -> "CellLayout":
        """The layout that the schema gives: a column has the same dtype in every batch."""
        dtypes = [feature.dtype for feature in model.schema.features]
        dtypes += [OUTPUT_DTYPES[column.type] for column in model.output_columns]
        places = sorted(range(len(dtypes)), key=lambda place: dtypes[place].str)
        grouped = [(kind, tuple(of)) for kind, of in groupby(places, key=dtypes.__getitem__)]
        return cls(
            tuple((kind, of) for kind, of in grouped if not kind.hasobject),
            tuple(place for kind, of in grouped if kind.hasobject for place in of),
        )

    @property
    def width(self) -> int:
        """Bytes of one record's numbers."""
        return sum(kind.itemsize * len(places) for kind, places in self.numbers)


class Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One `LogBatch` on disk.

    `numbers` has the columns of the layout one after the other, `objects` the cells of its other
    columns likewise. `request_id` and `event_times` are one when it is that of all entries.
    `rejected` has id and code: of a rejection the log shows no names and no rules.
    """

    lane: Lane
    request_id: str | list[str]
    scored_at: datetime
    record_ids: tuple[str, ...]
    numbers: bytes
    objects: list[str | int | bool | None]
    outlier_scores: bytes | None
    rejected: list[tuple[str | None, RejectionCode]]
    entry_ids: list[str]
    event_times: datetime | list[datetime]


class FrameEncoder:
    """Makes the frames of one model. Thread-safe."""

    def __init__(self, model: ModelDescription) -> None:
        layout = CellLayout.of(model)
        self._numbers = [place for _, places in layout.numbers for place in places]
        self._objects = layout.objects
        self._width = layout.width
        self._outputs = [column.name for column in model.output_columns]

    def encode(self, entries: LogBatch) -> bytearray:
        """The frame of one `LogBatch`."""
        scored, times = entries.scored, entries.event_times
        outputs, anomaly = scored.outputs, scored.outlier_scores
        columns = [*scored.batch.columns, *[outputs[name] for name in self._outputs]]
        arrays: list[Any] = [columns[place] for place in self._numbers]
        try:
            numbers = b"".join(arrays)
        except TypeError:  # not contiguous
            numbers = b"".join([array.tobytes() for array in arrays])
        if len(numbers) != len(scored) * self._width:
            raise TypeError("a column has not the dtype of its feature")
        objects: list[Any] = []
        for place in self._objects:
            objects += columns[place].tolist()
        frame = (
            entries.lane,
            entries.request_id,
            entries.scored_at,
            scored.batch.record_ids,
            numbers,
            objects,
            None if anomaly is None else anomaly.tobytes(),
            [(r.record_id, r.code) for r in entries.rejected],
            entries.entry_ids,
            times[0] if times.count(times[0]) == len(times) else times,
        )
        return framed(_ENCODER, frame, len(entries))


def decode_frame(payload: memoryview) -> Frame:
    """Raises msgspec.DecodeError."""
    return _DECODER.decode(payload)


def _plain(value: Any) -> Any:
    """A cell that is of a subclass, as a model's own code may make it."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError("a cell of a type that no column has")


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_plain)
_DECODER: Final = msgspec.msgpack.Decoder(Frame)
