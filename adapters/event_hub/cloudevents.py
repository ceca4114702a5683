"""Events as they are published: CloudEvents 1.0 as structured JSON, keyed by their subject.

CloudEvents specification 1.0.2 and its Kafka protocol binding.
"""

from datetime import datetime
from typing import Any, Final

import msgspec

from adapters.event_hub.messages import Headers, Outgoing

CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
STRUCTURED_HEADERS: Final[Headers] = (("content-type", CONTENT_TYPE.encode()),)

_JSON: Final = "application/json"


class _Sent(msgspec.Struct, frozen=True, gc=False):
    specversion: str
    id: str
    source: str
    type: str
    subject: str | msgspec.UnsetType
    time: datetime
    datacontenttype: str
    data: Any


def encode(
    event_id: str, source: str, kind: str, subject: str | None, time: datetime, data: Any
) -> bytes:
    """One structured JSON event; `time` is timezone-aware."""
    shown = msgspec.UNSET if subject is None else subject
    return _encode(_Sent("1.0", event_id, source, kind, shown, time, _JSON, data))


def outgoing(hub: str, subject: str, value: bytes) -> Outgoing:
    """An encoded event, keyed by its subject."""
    return Outgoing(hub, subject.encode(), value, STRUCTURED_HEADERS)


_encode = msgspec.json.Encoder().encode
