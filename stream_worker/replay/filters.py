"""Which dead letters are replayed."""

from dataclasses import dataclass
from datetime import datetime

from stream_worker.replay.letters import Letter


@dataclass(frozen=True, slots=True)
class Filters:
    """All that is given must fit; None, or no code, leaves it open.

    `model_name` is always given: the events of another model are none of this one's. `since` is
    included, `until` is not; both are about the time of the dead letter. `place` is hub and
    partition of the event.
    """

    model_name: str
    codes: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    record_id: str | None = None
    model_version: str | None = None
    place: tuple[str, int] | None = None
    offset: int | None = None

    def take(self, letter: Letter) -> bool:
        """Whether it is to be replayed."""
        data = letter.data
        return (
            data.model.name == self.model_name
            and (not self.codes or data.code in self.codes)
            and (self.since is None or letter.time >= self.since)
            and (self.until is None or letter.time < self.until)
            and self.record_id in (None, data.record_id)
            and self.model_version in (None, data.model.version)
            and self.place in (None, (data.hub, data.partition))
            and self.offset in (None, data.offset)
        )
