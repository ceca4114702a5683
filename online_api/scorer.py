"""Where scoring runs: in the event loop when it is short, in one thread when it is not."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from online_api.problems import OVERLOADED, ProblemError
from scoring.model import ModelBundle
from scoring.records import Rejection, ScoredBatch, Validated
from scoring.score import score_valid

MAX_WAITING: Final = 64
"""Requests that may be at, or wait for, the scoring thread."""

Scores = tuple[ScoredBatch, tuple[Rejection, ...]]


class Scorer(Protocol):
    """Calls `scoring.score.score_valid`."""

    async def score(self, valid: Validated) -> Scores:
        """Raises what `score_valid` raises, and ProblemError when too many wait."""
        ...

    def close(self) -> None:
        """Give up what it holds."""
        ...


def open_scorer(model: ModelBundle) -> Scorer:
    """The scorer for a model's backend."""
    if model.manifest.backend.kind == "onnx":
        return InlineScorer(model)
    return ThreadScorer(model)


class InlineScorer:
    """In the event loop: a compiled model takes less time than a change of threads."""

    def __init__(self, model: ModelBundle) -> None:
        self._model = model

    async def score(self, valid: Validated) -> Scores:
        """Blocks the event loop while it scores."""
        return score_valid(self._model, valid)

    def close(self) -> None:
        """Nothing is held."""


class ThreadScorer:
    """In one thread, so that probes are answered meanwhile, and by one call at a time."""

    def __init__(self, model: ModelBundle) -> None:
        self._model = model
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")

    async def score(self, valid: Validated) -> Scores:
        """Waits its turn; refuses at once when `MAX_WAITING` requests are there already."""
        if self._waiting >= MAX_WAITING:
            raise ProblemError(OVERLOADED, f"{MAX_WAITING} requests wait for the model already")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, score_valid, self._model, valid)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Does not wait for a call that still runs."""
        self._thread.shutdown(wait=False, cancel_futures=True)
