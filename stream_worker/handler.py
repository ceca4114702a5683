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

from adapters.event_hub.messages import Outgoing, Received
from adapters.telemetry import Stage
from scoring.identifiers import derived_id, derived_ids
from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from scoring.predictions import PredictionRows
from scoring.records import Rejection, ScoredBatch, Violation
from scoring.score import score_valid
from scoring.typed_rows import typed_rows
from stream_worker.cloudevents import Event, EventDecoder, encode, outgoing
from stream_worker.dead_letter import dead_letter, origin, received_time
from stream_worker.validating import validated

SCORE_TYPE = "trilane.score.v1"
_ADDED = ("model", "causationid", "causationsource", "causationtime")


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
        self._rows = PredictionRows(model, _ADDED)

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

        refused = {r.position for r in rejections}
        kept = [place for place in range(len(events)) if place not in refused]
        rejected = [
            Rejected(received[at], None, Rejection(at, None, (outcome,)))
            for at, outcome in enumerate(decoded)
            if isinstance(outcome, Violation)
        ]
        for rejection in rejections:
            at = good[rejection.position]
            event = events[rejection.position]
            rejected.append(Rejected(received[at], event, rejection.moved(at)))
        rejected.sort(key=lambda r: r.rejection.position)
        scored_events = tuple([events[place] for place in kept])
        logged: list[tuple[Received, Event | None]] = [(of_events[p], events[p]) for p in kept]
        logged += [(r.received, r.event) for r in rejected]
        entries = self._entries(received, logged, scored, rejected, now)
        scores = self._scores(scored_events, entries.event_times[: len(kept)], scored, now)
        seconds: dict[Stage, float] = {
            "decode": ended_decoding - began,
            "validate": ended_validating - ended_decoding,
            "score": ended_scoring - ended_validating,
            "encode": time.perf_counter() - ended_scoring,
        }
        return Results(scored, scored_events, scores, tuple(rejected), entries, seconds)

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

    def _scores(
        self,
        events: Sequence[Event],
        times: Sequence[datetime],
        scored: ScoredBatch,
        now: datetime,
    ) -> tuple[Outgoing, ...]:
        version = self.model.version
        named = {"name": version.name, "version": version.version}
        kind, source, hub = SCORE_TYPE, f"trilane/{version.name}", self.scores_hub
        ids, sources = [e.id for e in events], [e.source for e in events]
        rows = self._rows.rows(scored, [named] * len(events), ids, sources, times)
        derived = derived_ids(sources, ids, version.digest)
        return tuple(
            [
                outgoing(hub, record_id, encode(event_id, source, kind, record_id, now, row))
                for event_id, record_id, row in zip(
                    derived, scored.batch.record_ids, rows, strict=True
                )
            ]
        )

    def _entries(
        self,
        received: Sequence[Received],
        logged: Sequence[tuple[Received, Event | None]],
        scored: ScoredBatch,
        rejected: Sequence[Rejected],
        now: datetime,
    ) -> LogBatch:
        return LogBatch(
            lane="stream",
            request_id=_request_id(received),
            scored_at=now,
            scored=scored,
            rejected=tuple([r.rejection for r in rejected]),
            entry_ids=self._entry_ids(logged, len(scored)),
            event_times=[_event_time(r, e, now) for r, e in logged],
        )

    def _entry_ids(self, logged: Sequence[tuple[Received, Event | None]], scored: int) -> list[str]:
        digest = self.model.version.digest
        events = [e for _, e in logged[:scored] if e is not None]
        sources, ids = [e.source for e in events], [e.id for e in events]
        rest = [derived_id("stream", *origin(r, e), digest) for r, e in logged[scored:]]
        return [*derived_ids("stream", sources, ids, digest), *rest]


def _request_id(received: Sequence[Received]) -> str:
    """Which events were taken together: hub/partition/first-last, one per partition."""
    ranges: dict[tuple[str, int], list[int]] = {}
    for r in received:
        ranges.setdefault((r.hub, r.partition), []).append(r.offset)
    return ",".join(
        f"{hub}/{partition}/{min(offsets)}-{max(offsets)}"
        for (hub, partition), offsets in sorted(ranges.items())
    )


def _event_time(received: Received, event: Event | None, now: datetime) -> datetime:
    """The event's own time, else the hub's, else now."""
    if event is not None and event.time is not None:
        return event.time
    return received_time(received) or now
