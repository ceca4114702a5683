"""What of a worker's settings the document shows; holds no secret."""

from dataclasses import dataclass
from typing import Literal

Transport = Literal["kafka", "amqp"]
SignIn = Literal["none", "connection_string", "workload_identity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentedHubs:
    """The hubs of a worker and how they are reached.

    `servers` are host:port. `secured` says that the connection is TLS, `sign_in` how the worker
    signs in. Each score carries `reasons` reasons; an event may have `max_event_bytes` bytes.
    """

    events: str
    scores: str
    dead_letters: str
    consumer_group: str
    servers: tuple[str, ...]
    transport: Transport
    secured: bool
    reasons: int
    max_event_bytes: int
    sign_in: SignIn = "none"
