"""Micro-batching: requests that wait for the one scoring thread share its next call.

While the thread is busy requests gather; when it is free it takes what waits, joins it, calls
`score_valid` once and gives each request its own part. A request that finds the thread free waits
for nobody. All bookkeeping happens in the event loop; only the scoring is in the thread.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from adapters.telemetry import LaneMetrics
from online_api.context import Limits, Load
from online_api.problems import NOT_READY, OVERLOADED, ProblemError
from scoring.model import ModelBundle
from scoring.records import RecordBatch, Rejection, ScoredBatch, Validated
from scoring.score import score_valid

Scores = tuple[ScoredBatch, tuple[Rejection, ...]]


@dataclass(frozen=True, slots=True)
class Part:
    """What one request asks of a shared call."""

    valid: Validated
    reasons: int


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A request in line; `patience` runs out unless its call begins first."""

    part: Part
    answer: "asyncio.Future[Scores]"
    patience: asyncio.Timeout


def score_together(model: ModelBundle, parts: Sequence[Part]) -> list[Scores]:
    """What `score_valid` would answer to each part, from one call: the bits are the same, and a
    record the model fails on is rejected in its own part. Reasons are asked by all parts or none.

    Raises what `score_valid` raises, but no ModelError.
    """
    batch = RecordBatch.concat([part.valid.batch for part in parts])
    joined = Validated(batch, np.arange(len(batch)), ())
    scored, failed = score_valid(model, joined, max(part.reasons for part in parts))
    answers: list[Scores] = []
    start = scored_start = 0
    for part in parts:
        stop = start + len(part.valid.batch)
        own = [r for r in failed if start <= r.position < stop]
        scored_stop = scored_start + stop - start - len(own)
        answers.append(_answer(part, scored.slice(scored_start, scored_stop), own, start))
        start, scored_start = stop, scored_stop
    return answers


def _answer(part: Part, scored: ScoredBatch, failed: Sequence[Rejection], start: int) -> Scores:
    """A part's scores with as many reasons as it asked for, and rejections at its own positions."""
    if scored.reasons is not None:
        scored = replace(scored, reasons=scored.reasons.first(part.reasons))
    positions = part.valid.positions
    own = [replace(r, position=int(positions[r.position - start])) for r in failed]
    return scored, tuple(sorted([*part.valid.rejections, *own], key=lambda r: r.position))


class MicroBatchScorer:
    """One call at a time, in a thread, so that probes are answered meanwhile."""

    is_short = False

    def __init__(
        self, model: ModelBundle, limits: Limits, metrics: LaneMetrics, load: Load
    ) -> None:
        self._model = model
        self._limits = limits
        self._load = load
        self._metrics = metrics
        # A backend that is called with a fixed width gains nothing from more than that.
        width = model.manifest.backend.call_width or limits.micro_batch_records
        self._records_per_call = min(width, limits.micro_batch_records)
        self._queue: deque[_Waiting] = deque()
        self._taken: Sequence[_Waiting] = ()
        self._serving: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")

    async def score(self, valid: Validated, reasons: int) -> Scores:
        """Waits for the next call with room, at most `max_wait_seconds`, and for its end.

        Raises ProblemError when the wait is over, or when `max_waiting` requests wait already.
        """
        if self.is_full:
            most = self._limits.max_waiting
            raise ProblemError(OVERLOADED, f"{most} requests wait for the model already")
        loop, seconds = asyncio.get_running_loop(), self._limits.max_wait_seconds
        waiting = _Waiting(Part(valid, reasons), loop.create_future(), asyncio.timeout(seconds))
        try:
            async with waiting.patience:
                self._queue.append(waiting)
                if self._serving is None or self._serving.done():
                    self._serving = loop.create_task(self._serve())
                with self._load:
                    return await waiting.answer
        except TimeoutError:
            if not waiting.patience.expired():  # the model's own
                raise
            detail = f"the model had no time for this request within {seconds:g} seconds"
            raise ProblemError(OVERLOADED, detail) from None
        finally:  # whoever gave up, or went away, is not scored
            if waiting in self._queue:  # the error of `remove` would spell out the whole request
                self._queue.remove(waiting)

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        return len(self._queue) >= self._limits.max_waiting

    def close(self) -> None:
        """Answers whoever still waits with `not-ready`; does not wait for a call that runs."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._serving is not None:
            self._serving.cancel()
        _fail([*self._taken, *self._queue], ProblemError(NOT_READY, "the server is stopping"))

    async def _serve(self) -> None:
        """Call after call, until nobody waits."""
        loop = asyncio.get_running_loop()
        while taken := self._take():
            self._taken = taken
            parts = [waiting.part for waiting in taken]
            self._metrics.called(sum(len(part.valid.batch) for part in parts))
            try:
                answers = await loop.run_in_executor(self._thread, _call, self._model, parts)
            except Exception as error:
                _fail(taken, error)
                continue
            for waiting, scores in zip(taken, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(scores)

    def _take(self) -> list[_Waiting]:
        """The first in line, and those behind it that fit into the same call, in order.

        With reasons a call takes longer and may fail where the score does not, so requests that
        ask for none do not share it.
        """
        taken: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        room = self._records_per_call
        for waiting in self._queue:
            if waiting.answer.done():  # gave up, and is about to leave the queue
                continue
            size = len(waiting.part.valid.batch)
            if not taken or (size <= room and _alike(waiting, taken[0])):
                taken.append(waiting)
                waiting.patience.reschedule(None)
                room -= size
            else:
                left.append(waiting)
        self._queue = left
        return taken


def _call(model: ModelBundle, parts: Sequence[Part]) -> list[Scores]:
    try:
        return score_together(model, parts)
    except StopIteration as error:  # which a future cannot carry
        raise RuntimeError("the model raised StopIteration") from error


def _alike(a: _Waiting, b: _Waiting) -> bool:
    return (a.part.reasons > 0) == (b.part.reasons > 0)


def _fail(waiting: Sequence[_Waiting], error: Exception) -> None:
    for one in waiting:
        if not one.answer.done():
            one.answer.set_exception(error)
