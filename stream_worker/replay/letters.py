"""Dead letters as a replay reads them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

from adapters.event_hub.messages import Received
from stream_worker.dead_letter import TYPE

_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_Id = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]


class LetterModel(msgspec.Struct, frozen=True):
    """The model that rejected an event."""

    name: str
    version: str


class LetterData(msgspec.Struct, frozen=True):
    """What a replay needs of `data`; bytes are base64 in JSON."""

    code: str
    record_id: str | None
    model: LetterModel
    hub: str
    partition: int
    offset: int
    original: bytes | None
    original_headers: list[tuple[str, bytes]] | None = None
    original_key: bytes | None = None
    original_time: datetime | None = None


class Letter(msgspec.Struct, frozen=True):
    """A dead letter; `time` is when the event was rejected."""

    id: _Id
    type: str
    time: datetime
    data: LetterData

    @property
    def replayable(self) -> bool:
        """Whether it holds the event. One without a value has headers, if only none of them."""
        return self.data.original is not None or self.data.original_headers is not None

    def event(self) -> Received:
        """The event as the hub gave it. Dead letters of earlier versions have no headers, key and
        time.
        """
        data = self.data
        time = data.original_time
        return Received(
            data.hub,
            data.partition,
            data.offset,
            -1 if time is None else round((time - _UNIX) / _MILLISECOND),
            data.original_key,
            data.original,
            tuple(data.original_headers or ()),
        )


_decoder: Final[msgspec.json.Decoder[Letter]] = msgspec.json.Decoder(Letter)


def read_letter(received: Received) -> Letter | None:
    """The dead letter; None when the event is something else."""
    try:
        letter = _decoder.decode(received.value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if letter.type != TYPE or not _zoned(letter.time) or not _zoned(letter.data.original_time):
        return None
    return letter


def _zoned(time: datetime | None) -> bool:
    return time is None or time.tzinfo is not None
