"""What every protocol's routes are made with."""

from dataclasses import dataclass

from online_api.body import BodyReader
from online_api.context import Limits, Readiness, Sources
from online_api.lane import Scoring
from online_api.served import Models


@dataclass(frozen=True)
class Needs:
    """The models, the path that scores, and the limits of bodies."""

    models: Models
    scoring: Scoring
    bodies: BodyReader
    limits: Limits
    readiness: Readiness
    sources: Sources
    together: bool = True
    """Whether requests may share a turn of the loop: not where each one's steps are traced."""
