"""What becomes of a batch of events. The seven steps of the lane:

1 decode, 2 validate, 3 score, 4 publish scores, 5 publish dead letters, 6 append the inference
log, 7 commit.

1 to 3 are here and touch nothing but memory; `pipeline.py` does the others. Every event ends as one
score or one dead letter, and a repeat has the same ids.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, repeat
from operator import attrgetter
from typing import Final

from adapters.event_hub.messages import Outgoing, Received
from adapters.event_hub.score_events import ScoreEvents
from adapters.telemetry import Stage
from scoring.identifiers import derived_id, derived_ids
from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from scoring.records import Rejection, ScoredBatch, Violation
from scoring.score import score_valid
from scoring.typed_rows import typed_rows
from stream_worker.cloudevents import Event, EventDecoder
from stream_worker.dead_letter import dead_letter, origin, received_time
from stream_worker.validating import validated

_PLACE: Final = attrgetter("hub", "partition")


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that was not scored; `event` is None when it could not be decoded."""

    received: Received
    event: Event | None
    rejection: Rejection


@dataclass(frozen=True, slots=True)
class Results:
    """What steps 1 to 3 make of a batch.

    `events` and `scores`, the messages of step 4, have one item per scored record, in order.
    `seconds` is what each step took, `encode` being the making of the messages.
    """

    scored: ScoredBatch
    events: tuple[Event, ...]
    scores: tuple[Outgoing, ...]
    rejected: tuple[Rejected, ...]
    entries: LogBatch
    seconds: Mapping[Stage, float]


class Handler:
    """Steps 1 to 3, and the messages that 4 and 5 publish. Thread-safe; knows no broker."""

    def __init__(
        self,
        model: ModelBundle,
        scores_hub: str,
        dead_letters_hub: str,
        max_event_bytes: int,
        reasons: int = 0,
    ) -> None:
        """An event larger than `max_event_bytes` is not decoded, and no dead letter is larger. Each
        score carries `reasons` reasons; with more than 0 the model must give them.
        """
        self.model = model
        self.scores_hub = scores_hub
        self.dead_letters_hub = dead_letters_hub
        self._max_event_bytes = max_event_bytes
        self._reasons = reasons
        self._typed = typed_rows(model.schema, None)
        row = None if self._typed is None else self._typed.row
        self._decoder = EventDecoder(max_event_bytes, row)
        self._events = ScoreEvents(model, scores_hub)

    def compute(self, received: Sequence[Received], now: datetime) -> Results:
        """Steps 1 to 3; blocks for as long as the model takes. Raises ModelError."""
        began = time.perf_counter()
        # 1 decode
        decoded = [self._decoder.decode(r) for r in received]
        good = [at for at, e in enumerate(decoded) if isinstance(e, Event)]
        events = [e for e in decoded if isinstance(e, Event)]
        ended_decoding = time.perf_counter()
        # 2 validate
        of_events = received if len(good) == len(received) else [received[at] for at in good]
        valid = validated(self.model.schema, self._typed, self._decoder, events, of_events)
        ended_validating = time.perf_counter()
        # 3 score
        scored, rejections = score_valid(self.model, valid, self._reasons)
        ended_scoring = time.perf_counter()

        rejected = [
            Rejected(received[at], None, Rejection(at, None, (outcome,)))
            for at, outcome in enumerate(decoded)
            if isinstance(outcome, Violation)
        ]
        for rejection in rejections:
            place = rejection.position
            moved = rejection.moved(good[place])
            rejected.append(Rejected(of_events[place], events[place], moved))
        rejected.sort(key=lambda r: r.rejection.position)
        kept: Sequence[Event] = events
        of_kept = of_events
        if rejections:
            refused = {r.position for r in rejections}
            kept = [e for place, e in enumerate(events) if place not in refused]
            of_kept = [r for place, r in enumerate(of_events) if place not in refused]
        ids, times = self._ids(kept), [*map(_event_time, of_kept, kept, repeat(now))]
        causes = [e.id for e in kept], [e.source for e in kept]
        scores = tuple(self._events.messages(ids, scored, now, *causes, times))
        ids += [self._id_of(r) for r in rejected]
        times += [_event_time(r.received, r.event, now) for r in rejected]
        entries = LogBatch(
            lane="stream",
            request_id=_request_id(received),
            scored_at=now,
            scored=scored,
            rejected=tuple([r.rejection for r in rejected]),
            entry_ids=ids,
            event_times=times,
        )
        seconds: dict[Stage, float] = {
            "decode": ended_decoding - began,
            "validate": ended_validating - ended_decoding,
            "score": ended_scoring - ended_validating,
            "encode": time.perf_counter() - ended_scoring,
        }
        return Results(scored, tuple(kept), scores, tuple(rejected), entries, seconds)

    def dead_letters(self, results: Results, attempt: int) -> list[Outgoing]:
        """The messages of step 5; `attempt` counts from 1."""
        return [
            dead_letter(
                self.dead_letters_hub,
                r.received,
                r.event,
                r.rejection,
                self.model.version,
                attempt,
                results.entries.scored_at,
                self._max_event_bytes,
            )
            for r in results.rejected
        ]

    def _ids(self, events: Sequence[Event]) -> list[str]:
        """Of a score and its entry in the log."""
        digest = self.model.version.digest
        return derived_ids([e.source for e in events], [e.id for e in events], digest)

    def _id_of(self, rejected: Rejected) -> str:
        """Of a dead letter and its entry in the log."""
        return derived_id(*origin(rejected.received, rejected.event), self.model.version.digest)


def _request_id(received: Sequence[Received]) -> str:
    """Which events were taken together: hub/partition/first-last, one per partition."""
    ends: dict[tuple[str, int], tuple[int, int]] = {}
    for (hub, partition), events in groupby(received, key=_PLACE):
        offsets = [event.offset for event in events]
        first, last = ends.get((hub, partition), (offsets[0], offsets[0]))
        ends[hub, partition] = min(first, *offsets), max(last, *offsets)
    return ",".join(f"{hub}/{p}/{first}-{last}" for (hub, p), (first, last) in sorted(ends.items()))


def _event_time(received: Received, event: Event | None, now: datetime) -> datetime:
    """The event's own time, else the hub's, else now."""
    if event is not None and event.time is not None:
        return event.time
    return received_time(received) or now
