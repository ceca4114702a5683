"""The models that are served, and what each is served with."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from adapters.telemetry import LaneMetrics
from online_api.problems import UNKNOWN_MODEL, ProblemError
from online_api.scorer import Scorer
from scoring.inference_log import InferenceLog
from scoring.model import ModelBundle


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model with its scorer, its inference log and its metrics."""

    model: ModelBundle
    scorer: Scorer
    log: InferenceLog
    metrics: LaneMetrics
    close: Callable[[], None]
    """Gives up scorer and log; what the log holds stays safe."""


class Models:
    """Every served model by name, and the one that answers when none is named."""

    def __init__(self, served: Sequence[ServedModel], default: ServedModel) -> None:
        self.default = default
        self._by_name = {one.model.version.name: one for one in served}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._by_name.values())

    @property
    def challengers(self) -> list[ServedModel]:
        """All but the default."""
        return [one for one in self if one is not self.default]

    def get(self, name: str, version: str | None = None) -> ServedModel:
        """The model of that name, and of that version if one is asked for. Raises ProblemError."""
        served = self._by_name.get(name)
        if served is None or version not in (None, served.model.version.version):
            raise ProblemError(UNKNOWN_MODEL, "see GET /models for the models and their versions")
        return served
