"""Kafka's record headers, whichever protocol the event was published with.

To Kafka readers, Event Hubs gives the application properties of events that came over AMQP or HTTPS
in AMQP's encoding; a few properties of the message itself, `content-type` among them, it gives as
UTF-8 ("Exchange events between consumers and producers that use different protocols: AMQP, Kafka,
and HTTPS", learn.microsoft.com, and the interop tutorial of azure-event-hubs-for-kafka).
"""

from collections.abc import Iterable
from typing import Final

from adapters.event_hub.amqp_values import text_of
from adapters.event_hub.attributes import PREFIXES
from adapters.event_hub.messages import Headers

# No UTF-8 text begins with one of the bytes in between. Encodings of strings, binary, times, UUIDs
# and of numbers of eight bytes do.
_FIRST: Final = b"\x80"
_END: Final = b"\xc0"
_SPECVERSIONS: Final = frozenset(prefix + "specversion" for prefix in PREFIXES)


def plain_headers(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    """Names and values, AMQP-encoded ones as text; what else is no text stays as it is.

    UTF-8 text that a Kafka producer set is never altered: a value is decoded when it cannot be
    text. Encodings of smaller numbers and of booleans look like text; they are decoded in
    CloudEvents attributes of an event whose specversion shows that its attributes are encoded.
    """
    plain = tuple(headers)
    for _, value in plain:
        if value is None or _FIRST <= value[:1] < _END:
            return _decoded(tuple([(name, value or b"") for name, value in plain]))
    return plain  # type: ignore[return-value]  # none of them is None


def _decoded(headers: Headers) -> Headers:
    encoded = any(name in _SPECVERSIONS and _is_encoded(value) for name, value in headers)
    return tuple(
        [
            (name, _text(value) if encoded and name.startswith(PREFIXES) else _unless_text(value))
            for name, value in headers
        ]
    )


def _is_encoded(value: bytes) -> bool:
    return _FIRST <= value[:1] < _END and text_of(value) is not None


def _unless_text(value: bytes) -> bytes:
    return _text(value) if _FIRST <= value[:1] < _END else value


def _text(value: bytes) -> bytes:
    text = text_of(value)
    return value if text is None else text
