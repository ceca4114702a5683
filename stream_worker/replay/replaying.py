"""Through the dead letters, batch by batch."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapters.event_hub.messages import Received
from adapters.event_hub.ports import EventWriter
from scoring.identifiers import derived_id
from scoring.inference_log import InferenceLog, LogBatch
from stream_worker.handler import Handler, Results
from stream_worker.repeats import Repeats
from stream_worker.replay.ledger import Ledger
from stream_worker.replay.letters import Letter, read_letter
from stream_worker.replay.lines import Lines
from stream_worker.replay.report import Outcome, Report, Run

_MAX_BATCH_BYTES: Final = 16_000_000
_TELL_EVERY: Final = 5_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ends:
    """Where results go; a dry run has none."""

    writer: EventWriter
    log: InferenceLog
    ledger: Ledger


class Replay:
    """One run.

    For each batch: 1 score, 2 publish the scores, 3 append the inference log, 4 write the lines of
    the report, 5 enter in the ledger. After a crash between 2 and 5 the batch is taken again, and
    scores and log entries have the ids they had.
    """

    def __init__(
        self,
        run: Run,
        handler: Handler,
        known: Ledger,
        ends: Ends | None,
        report: Report,
        lines: Lines,
        max_records: int,
        clock: Callable[[], datetime],
        progress: Progress,
    ) -> None:
        """`progress` is told now and then how many events were read, and how many scored."""
        self._run = run
        self._handler = handler
        self._known = known
        self._ends = ends
        self._report = report
        self._lines = lines
        self._max_records = max_records
        self._clock = clock
        self._progress = progress
        self._repeats = Repeats()
        self._batch: list[Letter] = []
        self._bytes = 0

    async def all(self, events: AsyncIterator[Received]) -> None:
        """Every event of the hub of dead letters. Raises TrilaneError."""
        async for received in events:
            self._take(received)
            if len(self._batch) >= self._max_records or self._bytes >= _MAX_BATCH_BYTES:
                await self._replay()
            elif len(self._lines) >= self._max_records:
                await asyncio.to_thread(self._lines.write)
            if self._report.counts.read % _TELL_EVERY == 0:
                self._tell()
        await self._replay()

    def _take(self, received: Received) -> None:
        counts = self._report.counts
        counts.read += 1
        letter = read_letter(received)
        if letter is None:
            counts.foreign += 1
            return
        if not self._repeats.first(letter.id):
            counts.repeated += 1
            return
        counts.distinct += 1
        if not self._run.filters.take(letter):
            counts.filtered_out += 1
        elif letter.id in self._known and not self._run.again:
            self._note(letter, "already_replayed")
        elif not letter.replayable:
            self._note(letter, "no_original")
        else:
            self._batch.append(letter)
            self._bytes += received.size

    def _note(self, letter: Letter, outcome: Outcome, new_code: str | None = None) -> None:
        self._report.note(letter, outcome, new_code)
        self._lines.add(letter, outcome, new_code)

    async def _replay(self) -> None:
        batch, self._batch, self._bytes = self._batch, [], 0
        # 1 score
        events = [letter.event() for letter in batch]
        results = await asyncio.to_thread(self._handler.compute, events, self._clock())
        scored = self._sorted(batch, results)
        if self._ends is not None and scored:
            # 2 publish the scores
            await self._ends.writer.write(results.scores)
            # 3 append the inference log
            await asyncio.to_thread(self._ends.log.append, self._entries(results))
        # 4 write the lines of the report
        await asyncio.to_thread(self._lines.write)
        if self._ends is not None:
            # 5 enter in the ledger
            await asyncio.to_thread(self._ends.ledger.add, [letter.id for letter in scored])
        self._tell()

    def _tell(self) -> None:
        self._progress(self._report.counts.read, self._report.counts.scored)

    def _sorted(self, batch: Sequence[Letter], results: Results) -> list[Letter]:
        """Take note of what became of each; returns those that were scored."""
        codes = {r.rejection.position: str(r.rejection.code) for r in results.rejected}
        for at, letter in enumerate(batch):
            if at in codes:
                self._note(letter, "still_rejected", codes[at])
            else:
                self._note(letter, "scored")
        return [letter for at, letter in enumerate(batch) if at not in codes]

    def _entries(self, results: Results) -> LogBatch:
        """Entries with ids of their own: those of the rejections are in the log already."""
        digest = self._handler.model.version.digest
        return LogBatch(
            lane="stream",
            request_id=f"replay/{self._run.id}",
            scored_at=results.entries.scored_at,
            scored=results.scored,
            rejected=(),
            entry_ids=[derived_id("stream-replay", e.source, e.id, digest) for e in results.events],
            event_times=results.entries.event_times[: len(results.scored)],
        )
