"""Where scoring runs: in the event loop when it is short, in one thread when it is not."""

from typing import Final, Protocol

from adapters.telemetry import LaneMetrics
from online_api.context import Limits, Load
from online_api.micro_batch import MicroBatchScorer, Scores
from scoring.model import ModelBundle
from scoring.records import Validated
from scoring.score import score_valid

_SLOW_REASONS: Final = frozenset({"tree", "sampling"})
"""Methods that take longer than the score itself."""


class Scorer(Protocol):
    """Calls `scoring.score.score_valid`."""

    is_short: bool
    """Whether a call takes less time than a change of threads, reasons aside."""

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused, reasons aside."""
        ...

    async def score(self, valid: Validated, reasons: int) -> Scores:
        """Raises what `score_valid` raises, and ProblemError when the model is overloaded."""
        ...

    def close(self) -> None:
        """Give up what it holds."""
        ...


def open_scorer(model: ModelBundle, limits: Limits, metrics: LaneMetrics, load: Load) -> Scorer:
    """The scorer for a model's backend and its way to give reasons."""
    if model.manifest.backend.kind != "onnx":
        return MicroBatchScorer(model, limits, metrics, load)
    if model.explainer is not None and model.manifest.reasons.method in _SLOW_REASONS:
        return InlineScorer(model, MicroBatchScorer(model, limits, metrics, load))
    return InlineScorer(model)


class InlineScorer:
    """In the event loop: a compiled model takes less time than a change of threads."""

    is_short = True
    is_full = False

    def __init__(self, model: ModelBundle, explained: Scorer | None = None) -> None:
        """Requests for reasons go to `explained`, if there is one."""
        self._model = model
        self._explained = explained

    async def score(self, valid: Validated, reasons: int) -> Scores:
        """Blocks the event loop while it scores."""
        if reasons and self._explained is not None:
            return await self._explained.score(valid, reasons)
        return score_valid(self._model, valid, reasons)

    def close(self) -> None:
        """Close the other one."""
        if self._explained is not None:
            self._explained.close()
