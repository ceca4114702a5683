"""A scorer that shares calls, over a backend that waits for the test."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from adapters.telemetry import LaneMetrics
from online_api.context import Limits, Load
from online_api.micro_batch import MicroBatchScorer, Scores
from scoring.errors import ModelError
from scoring.model import Backend, ModelBundle
from scoring.records import Column, RecordBatch, Validated
from scoring.validation import validate_rows
from tests.support.online import GOOD, with_backend

BAD, BROKEN, STOPPING, TIMING_OUT = 13, 99, 98, 97


class GatedBackend:
    """The toy's own scores, once the gate is open; fails on some values of `n`."""

    def __init__(self, inner: Backend) -> None:
        self.gate = threading.Event()
        self.called = threading.Event()
        self.ended = threading.Event()
        self.calls: list[tuple[str, ...]] = []
        self._inner = inner

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """ModelError where `n` is BAD, other errors where it is another of these."""
        self.calls.append(batch.record_ids)
        self.called.set()
        assert self.gate.wait(10)
        failures: dict[int, Exception] = {
            BAD: ModelError("no"),
            BROKEN: ValueError("no"),
            STOPPING: StopIteration(),
            TIMING_OUT: TimeoutError(),
        }
        for value, failure in failures.items():
            if value in batch.columns[1]:
                raise failure
        self.ended.set()
        return self._inner.compute(batch)

    def sizes(self) -> list[int]:
        """Records per call."""
        return [len(ids) for ids in self.calls]


@dataclass
class Rig:
    """A scorer over a gated backend whose first call, of the record `busy`, has begun."""

    model: ModelBundle
    backend: GatedBackend
    scorer: MicroBatchScorer
    metrics: LaneMetrics
    busy: "asyncio.Task[Scores]"

    async def ask(self, *names: str, n: int = 3, reasons: int = 0) -> "asyncio.Task[Scores]":
        """A request with a record of each name; waits in line when this returns."""
        task = asyncio.create_task(self.scorer.score(request(self.model, *names, n=n), reasons))
        await asyncio.sleep(0)
        return task

    async def release(self, *tasks: "asyncio.Task[Scores]") -> list[Any]:
        """Open the gate; what came of the tasks."""
        self.backend.gate.set()
        await self.busy
        return await asyncio.gather(*tasks, return_exceptions=True)


def request(model: ModelBundle, *names: str, n: int = 3) -> Validated:
    """A request with a record of each name."""
    return validate_rows(model.schema, [{**GOOD, "n": n} for _ in names], names)


@asynccontextmanager
async def busy_scorer(toy: ModelBundle, **limits: Any) -> AsyncIterator[Rig]:
    """A rig, released and closed at the end; one call of the backend per call of the scorer."""
    backend = GatedBackend(toy.backend)
    model = with_backend(toy, backend, compiled=False)
    spec = msgspec.structs.replace(model.manifest.backend, call_width=None)
    model = replace(model, manifest=msgspec.structs.replace(model.manifest, backend=spec))
    metrics = LaneMetrics("online", "toy", "7")
    scorer = MicroBatchScorer(model, Limits(**limits), metrics, Load())
    busy = asyncio.create_task(scorer.score(request(model, "busy"), 0))
    assert await asyncio.to_thread(backend.called.wait, 10)
    try:
        yield Rig(model, backend, scorer, metrics, busy)
    finally:
        backend.gate.set()
        scorer.close()
        await asyncio.gather(busy, return_exceptions=True)


def ids(outcome: Scores) -> tuple[str, ...]:
    """The records that were scored."""
    return outcome[0].batch.record_ids
