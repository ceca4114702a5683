"""The scores of a run as events, in the form that the stream worker gives them.

Delivery is at least once, and what a run publishes again is the same event to the byte: its id
comes from run, file and row, and its times are those of the plan.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from adapters.event_hub.blocking import BlockingWriter
from adapters.event_hub.retries import Retries
from adapters.event_hub.score_events import RUN_SOURCE, ScoreEvents
from batch_scorer.plan import Plan
from batch_scorer.settings import BatchSettings
from scoring.errors import ConfigurationError
from scoring.identifiers import batch_entry_ids
from scoring.model import ModelBundle, ModelDescription
from scoring.records import ScoredBatch

if TYPE_CHECKING:
    from adapters.event_hub.ports import EventWriter

MOST_EVENTS: Final = 2_000
"""So many are made and published together: a unit has more than should be in memory as JSON."""


class ScorePublisher:
    """The `Publisher` of a run's scores. Safe to use from several threads."""

    def __init__(
        self, plan: Plan, model: ModelDescription, hub: str, writer: BlockingWriter
    ) -> None:
        self._run_id = plan.run_id
        self._digest = plan.model.digest
        self._events = ScoreEvents(model, hub)
        self._writer = writer
        self._scored_at = _utc(plan.started_at)
        self._event_time = _utc(plan.event_time)
        self._source = f"{RUN_SOURCE}{plan.run_id}"

    def publish(self, file: str, rows: Sequence[int], scored: ScoredBatch) -> None:
        """Returns when the hub has acknowledged an event for every record.

        `file` is the name of the records' file, `rows` their numbers in it. Events of one record id
        keep the order of the rows. Raises BrokerUnavailable when the hub failed for too long, and
        InputError when an event is too large for it; some have arrived then.
        """
        for start in range(0, len(scored), MOST_EVENTS):
            stop = min(start + MOST_EVENTS, len(scored))
            some, count = rows[start:stop], stop - start
            messages = self._events.messages(
                batch_entry_ids(self._run_id, file, self._digest, some),
                scored.slice(start, stop),
                self._scored_at,
                [f"{file}#{row}" for row in some],
                [self._source] * count,
                [self._event_time] * count,
            )
            self._writer.write(messages)


@contextmanager
def open_publisher(
    settings: BatchSettings, plan: Plan, model: ModelBundle
) -> Iterator[ScorePublisher]:
    """A publisher that is connected to the scores hub.

    Raises ConfigurationError when the settings name no hub or not how to sign in, BrokerUnavailable
    when the hub does not answer or does not exist.
    """
    with BlockingWriter(_writer(settings), Retries(settings.retry_seconds)) as writer:
        yield ScorePublisher(plan, model, settings.scores_hub, writer)


def _writer(settings: BatchSettings) -> "EventWriter":
    try:
        from adapters.event_hub.opening import open_writer

        return open_writer(settings.connection(), (settings.scores_hub,))
    except ImportError as error:
        raise ConfigurationError("--publish needs the extra 'stream'") from error


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
