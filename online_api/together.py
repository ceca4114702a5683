"""Requests that are ready in one turn of the event loop are validated, scored and logged as one.

A call of a compiled model, a write to the spool and the arrays of a batch cost about as much for
eight records as for one. Nobody waits for anybody: what is ready when the loop comes around is
taken, one request or many. A record's bits do not depend on its neighbours.

Only what goes well goes this way. Whatever needs a closer look, one record that is invalid or that
the model fails on, sends every request of the turn its own way through `Lane.logged`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from online_api.context import Exchange, RequestContext, Sources
from online_api.served import ServedModel
from scoring.inference_log import LogBatch
from scoring.predictions import PredictionRows
from scoring.score import score
from scoring.typed_rows import TypedRows

MAX_RECORDS: Final = 1024
"""Records of one call, unless one request alone has more: the loop must come around again."""


@dataclass(frozen=True, slots=True)
class Quick:
    """A request whose records were decoded to typed rows, with their ids and their log's."""

    context: RequestContext
    rows: Sequence[Any]
    record_ids: Sequence[str]
    entry_ids: Sequence[str]
    event_time: datetime


Predictions = Sequence[Any] | None
"""One row of `PredictionRows` per record; None when the request has to go its own way."""


class Together:
    """The requests of one model, turn by turn."""

    def __init__(self, served: ServedModel, typed: TypedRows, sources: Sources) -> None:
        self._served = served
        self._typed = typed
        self._sources = sources
        self._writer = PredictionRows(served.model)
        self._waiting: list[tuple[Quick, asyncio.Future[Predictions]]] = []

    def predictions(self, quick: Quick) -> "asyncio.Future[Predictions]":
        """What the request is answered, once its entries are safe.

        Raises TransientError when the log takes nothing, and whatever else goes wrong.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # In the next turn, so that those count whose bytes were read in this one.
            loop.call_soon(loop.call_soon, self._turn)
        answer: asyncio.Future[Predictions] = loop.create_future()
        self._waiting.append((quick, answer))
        return answer

    def _turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        for part in _parts(waiting):
            try:
                answers = self._answers([quick for quick, _ in part])
            except Exception as error:
                for _, answer in part:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), predictions in zip(part, answers, strict=True):
                if not answer.done():
                    answer.set_result(predictions)

    def _answers(self, part: Sequence[Quick]) -> Sequence[Predictions]:
        started, served = self._sources.timer(), self._served
        rows = _joined(part, lambda quick: quick.rows)
        valid = self._typed.batch(rows, _joined(part, lambda quick: quick.record_ids))
        if valid is None:
            return [None] * len(part)
        try:
            scored = score(served.model, valid.batch)
        except Exception:  # a model may raise anything; alone, each request gets its own answer
            return [None] * len(part)
        sizes = [len(quick.rows) for quick in part]
        seconds = self._sources.timer() - started
        served.log.append(
            LogBatch(
                lane="online",
                request_id=_request_ids(part, sizes),
                scored_at=self._sources.now(),
                scored=scored,
                rejected=(),
                entry_ids=_joined(part, lambda quick: quick.entry_ids),
                event_times=_each(part, sizes, lambda quick: quick.event_time),
            )
        )
        served.metrics.scored(len(rows), 0, seconds)  # not before the entries are safe
        predictions = self._writer.rows(scored)
        answers: list[Predictions] = []
        start = 0
        for quick, size in zip(part, sizes, strict=True):
            stop = start + size
            quick.context.exchange = Exchange(size, 0, scored, served.model.version, start)
            answers.append(predictions[start:stop])
            start = stop
        return answers


def _parts(
    waiting: list[tuple[Quick, "asyncio.Future[Predictions]"]],
) -> list[list[tuple[Quick, "asyncio.Future[Predictions]"]]]:
    """In order, each of no more records than a call may have unless it is one request."""
    parts: list[list[tuple[Quick, asyncio.Future[Predictions]]]] = []
    room = 0
    for one in waiting:
        size = len(one[0].rows)
        if size > room or not parts:
            parts.append([])
            room = MAX_RECORDS
        parts[-1].append(one)
        room -= size
    return parts


def _joined(part: Sequence[Quick], of: Callable[[Quick], Sequence[Any]]) -> list[Any]:
    if len(part) == 1:
        return list(of(part[0]))
    return [item for quick in part for item in of(quick)]


def _request_ids(part: Sequence[Quick], sizes: Sequence[int]) -> str | list[str]:
    if len(part) == 1:
        return part[0].context.request_id
    return _each(part, sizes, lambda quick: quick.context.request_id)


def _each(part: Sequence[Quick], sizes: Sequence[int], of: Callable[[Quick], Any]) -> list[Any]:
    return [of(quick) for quick, size in zip(part, sizes, strict=True) for _ in range(size)]
