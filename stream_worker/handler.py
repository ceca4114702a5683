"""What happens to a batch of events, in seven steps.

1 decode, 2 validate, 3 score, 4 publish scores, 5 publish dead letters, 6 append the inference
log, 7 commit.

Each step begins when the one before it is complete. Whatever fails before 7 leaves the batch
uncommitted, so all of it happens again, here or in another worker; a repeat has the same ids.
Every event ends as one score or one dead letter.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from adapters.event_hub import Outgoing, Received
from adapters.tracing import NO_TRACING, Tracing
from scoring.identifiers import derived_id
from scoring.inference_log import InferenceLog, LogBatch
from scoring.model import ModelBundle
from scoring.records import Rejection, ScoredBatch, Violation
from scoring.score import score_valid
from scoring.validation import validate_rows
from stream_worker.cloudevents import Event, decode, encode, outgoing
from stream_worker.dead_letter import dead_letter, origin

SCORE_TYPE = "trilane.score.v1"
_ADDED = ("model", "causationid", "causationsource")


class Writer(Protocol):
    """Where results are published."""

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """Returns when all are acknowledged; raises TransientError."""
        ...


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that was not scored; `event` is None when it could not be decoded."""

    received: Received
    event: Event | None
    rejection: Rejection


@dataclass(frozen=True, slots=True)
class Results:
    """What steps 1 to 3 make of a batch. `events` has one item per scored record, in order."""

    scored: ScoredBatch
    events: tuple[Event, ...]
    rejected: tuple[Rejected, ...]
    entries: LogBatch


@dataclass(frozen=True, slots=True)
class Handler:
    """The seven steps with what they need; knows no broker.

    An event larger than `max_event_bytes` is not decoded, and no dead letter is larger. Each score
    carries `reasons` reasons; with more than 0 the model must give them.
    """

    model: ModelBundle
    writer: Writer
    log: InferenceLog
    scores_hub: str
    dead_letters_hub: str
    max_event_bytes: int
    reasons: int = 0
    tracing: Tracing = NO_TRACING

    def compute(self, received: Sequence[Received], now: datetime) -> Results:
        """Steps 1 to 3: pure, blocks for as long as the model takes. Raises ModelError."""
        with self.tracing.span("score"):
            return self._compute(received, now)

    def _compute(self, received: Sequence[Received], now: datetime) -> Results:
        # 1 decode
        decoded = [decode(r, self.max_event_bytes) for r in received]
        events = [(at, e) for at, e in enumerate(decoded) if isinstance(e, Event)]
        # 2 validate
        validated = validate_rows(
            self.model.schema, [e.data for _, e in events], [e.subject for _, e in events]
        )
        # 3 score
        scored, rejections = score_valid(self.model, validated, self.reasons)

        refused = {r.position for r in rejections}
        good = [(at, e) for place, (at, e) in enumerate(events) if place not in refused]
        rejected = [
            Rejected(received[at], None, Rejection(at, None, (outcome,)))
            for at, outcome in enumerate(decoded)
            if isinstance(outcome, Violation)
        ]
        for rejection in rejections:
            at, event = events[rejection.position]
            rejected.append(
                Rejected(received[at], event, dataclasses.replace(rejection, position=at))
            )
        rejected.sort(key=lambda r: r.rejection.position)
        logged = [(received[at], e) for at, e in good] + [(r.received, r.event) for r in rejected]
        entries = self._entries(received, logged, scored, rejected, now)
        return Results(scored, tuple(e for _, e in good), tuple(rejected), entries)

    async def deliver(
        self, results: Results, attempt: int, commit: Callable[[], Awaitable[None]]
    ) -> None:
        """Steps 4 to 7; `attempt` counts from 1. Raises TransientError with nothing committed."""
        # 4 publish scores
        await self._publish(self.scores_hub, self._scores(results))
        # 5 publish dead letters
        await self._publish(self.dead_letters_hub, self._dead_letters(results, attempt))
        # 6 append the inference log, in a thread because storage blocks
        with self.tracing.span("log"):
            await asyncio.to_thread(self.log.append, results.entries)
        # 7 commit
        with self.tracing.span("commit"):
            await commit()

    async def _publish(self, hub: str, messages: Sequence[Outgoing]) -> None:
        """With a header that continues the trace, when there is one."""
        if not messages:
            return
        with self.tracing.send_span(hub, len(messages)) as span:
            if span.headers:
                messages = [
                    dataclasses.replace(m, headers=(*m.headers, *span.headers)) for m in messages
                ]
            await self.writer.write(messages)

    def _scores(self, results: Results) -> list[Outgoing]:
        version = self.model.version
        pairs = zip(results.events, results.scored.predictions(), strict=True)
        return [
            outgoing(
                self.scores_hub,
                prediction["record_id"],
                encode(
                    event_id=derived_id(event.source, event.id, version.digest),
                    source=f"trilane/{version.name}",
                    kind=SCORE_TYPE,
                    subject=prediction["record_id"],
                    time=results.entries.scored_at,
                    data=_score_data(prediction)
                    | {
                        "model": {"name": version.name, "version": version.version},
                        "causationid": event.id,
                        "causationsource": event.source,
                    },
                ),
            )
            for event, prediction in pairs
        ]

    def _dead_letters(self, results: Results, attempt: int) -> list[Outgoing]:
        return [
            dead_letter(
                self.dead_letters_hub,
                r.received,
                r.event,
                r.rejection,
                self.model.version,
                attempt,
                results.entries.scored_at,
                self.max_event_bytes,
            )
            for r in results.rejected
        ]

    def _entries(
        self,
        received: Sequence[Received],
        logged: Sequence[tuple[Received, Event | None]],
        scored: ScoredBatch,
        rejected: Sequence[Rejected],
        now: datetime,
    ) -> LogBatch:
        digest = self.model.version.digest
        return LogBatch(
            lane="stream",
            request_id=_request_id(received),
            scored_at=now,
            scored=scored,
            rejected=tuple(r.rejection for r in rejected),
            entry_ids=[derived_id("stream", *origin(r, e), digest) for r, e in logged],
            event_times=[_event_time(r, e, now) for r, e in logged],
        )


def _score_data(prediction: dict[str, Any]) -> dict[str, Any]:
    """A prediction, with a model output renamed that would meet a member added here."""
    return {f"output.{k}" if k in _ADDED else k: v for k, v in prediction.items()}


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
    if received.timestamp_ms < 0:
        return now
    try:
        return datetime.fromtimestamp(received.timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return now
