"""Decoded events to a valid batch: in one go where they fit, with a closer look at the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.event_hub.messages import Received
from scoring.records import RecordBatch, Validated
from scoring.schema import Schema
from scoring.typed_rows import TypedRows
from scoring.validation import as_record_id, validate_rows
from stream_worker.cloudevents import Event, EventDecoder

Places = Sequence[int]


def validated(
    schema: Schema,
    typed: TypedRows | None,
    decoder: EventDecoder,
    events: Sequence[Event],
    received: Sequence[Received],
) -> Validated:
    """Check the records of events; `received` is what they were decoded from, one by one.

    The verdict is that of `validate_rows` for each of them.
    """
    fit = [at for at, e in enumerate(events) if e.typed and as_record_id(e.subject) is not None]
    quick = None
    if typed is not None and fit:
        chosen = events if len(fit) == len(events) else [events[at] for at in fit]
        quick = typed.batch([e.data for e in chosen], [str(e.subject) for e in chosen])
    if quick is None:
        fit = []
    elif len(fit) == len(events):
        return quick
    places = sorted(set(range(len(events))).difference(fit))
    rows = [_plain(decoder, events[at], received[at]) for at in places]
    looked_at = validate_rows(schema, rows, [events[at].subject for at in places])
    if quick is None:
        return looked_at
    return _merged(quick, fit, looked_at, places)


def _plain(decoder: EventDecoder, event: Event, received: Received) -> Any:
    if not event.typed:
        return event.data
    again = decoder.decode(received, plain=True)
    return again.data if isinstance(again, Event) else None


def _merged(quick: Validated, fit: Places, looked_at: Validated, places: Places) -> Validated:
    """All of them in order; every one of `fit` is valid."""
    others = np.asarray(places, dtype=np.intp)
    positions = np.concatenate([np.asarray(fit, dtype=np.intp), others[looked_at.positions]])
    order = np.argsort(positions)
    batch = RecordBatch.concat([quick.batch, looked_at.batch]).take(order)
    rejections = tuple([r.moved(places[r.position]) for r in looked_at.rejections])
    return Validated(batch, positions[order], rejections)
