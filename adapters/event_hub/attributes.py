"""Attributes of CloudEvents in headers, under the names of either protocol.

Binary mode of the Kafka protocol binding 1.0.2 (`ce_id`) and of the AMQP protocol binding 1.0.2
(`cloudEvents:id`; `cloudEvents_id` for senders that cannot write a colon).
"""

from typing import Final

from adapters.event_hub.messages import Headers

PREFIXES: Final = ("ce_", "cloudEvents:", "cloudEvents_")

_KAFKA: Final = PREFIXES[0]
_AMQP_LENGTH: Final = len(PREFIXES[1])
_STRUCTURED: Final = b"application/cloudevents"
_READ: Final = frozenset(("specversion", "id", "source", "type", "subject", "time", "traceparent"))


def binary_attributes(headers: Headers) -> dict[str, bytes] | None:
    """The attributes that are read, by their plain names, of an event in binary mode.

    None when it is in structured mode: without a specversion, or with a content type that says so.
    A missing content type says nothing. An attribute without a value is none. Where
    `traceparent` is no attribute, the header of that name (W3C Trace Context) takes its place. Of
    several with one name, the last counts.
    """
    found: dict[str, bytes] = {}
    trace = b""
    for name, value in headers:
        if name == "content-type":
            if value.startswith(_STRUCTURED) or value.strip().lower().startswith(_STRUCTURED):
                return None
        elif name.startswith(PREFIXES):
            plain = name[len(_KAFKA) if name.startswith(_KAFKA) else _AMQP_LENGTH :]
            if value and plain in _READ:
                found[plain] = value
        elif name == "traceparent":
            trace = value
    if "specversion" not in found:
        return None
    if trace:
        found.setdefault("traceparent", trace)
    return found
