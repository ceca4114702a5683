"""What a peer asks for when it attaches a link, and what it gets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.support.amqp_hub.links import GivingLink, TakingLink


@dataclass(frozen=True, slots=True)
class Attach:
    """The link: `path` is the segments of the address at this end; the rest is as it came."""

    name: str
    handle: int
    peer_sends: bool
    path: tuple[str, ...]
    filters: dict[str, Any]
    properties: dict[str, Any]
    capabilities: tuple[str, ...]
    source: Any
    target: Any


@dataclass(frozen=True, slots=True)
class Opened:
    """The link's end here, and what to do when it is gone, for whatever reason."""

    link: TakingLink | GivingLink
    leave: Callable[[], None] = lambda: None


def read_attach(fields: list[Any]) -> Attach:
    """The attach of a peer; ValueError for one without an address."""
    peer_sends = not fields[2]
    source, target = fields[5], fields[6]
    terminus = target if peer_sends else source
    if terminus is None or not terminus.value or terminus.value[0] is None:
        raise ValueError("the link has no address")
    wanted = fields[12] or ()
    return Attach(
        name=fields[0],
        handle=fields[1],
        peer_sends=peer_sends,
        path=tuple(part for part in urlsplit(terminus.value[0]).path.split("/") if part),
        filters={} if peer_sends else (source.value + [None] * 8)[7] or {},
        properties=fields[13] or {},
        capabilities=(wanted,) if isinstance(wanted, str) else tuple(wanted),
        source=source,
        target=target,
    )
