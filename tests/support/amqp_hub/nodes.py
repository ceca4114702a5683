"""What stands behind an address: `$cbs`, `$management`, a hub, a partition, a group's partition."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from tests.support.amqp_hub import cbs, management
from tests.support.amqp_hub.attach import Attach, Opened
from tests.support.amqp_hub.connection import Connection
from tests.support.amqp_hub.faults import Faults
from tests.support.amqp_hub.frames import AmqpError
from tests.support.amqp_hub.hubs import Hub, Partition
from tests.support.amqp_hub.links import GivingLink, TakingLink
from tests.support.amqp_hub.messages import contents
from tests.support.amqp_hub.receivers import EPOCH, Cursor, Seats
from tests.support.amqp_hub.session import Session
from tests.support.amqp_hub.tokens import Policy


class Nodes:
    """All of a server. Without `groups` every consumer group exists."""

    def __init__(
        self, hubs: Mapping[str, Hub], policy: Policy, faults: Faults, groups: Sequence[str]
    ) -> None:
        self.policy = policy
        self._hubs = hubs
        self._faults = faults
        self._groups = groups
        self._seats = Seats()

    def open_link(self, connection: Connection, session: Session, attach: Attach) -> Opened:
        """The end of a link; AmqpError for an address that is not there, or without a token."""
        match attach.path:
            case ("$cbs",):
                return _request_response(
                    session,
                    attach,
                    lambda message: cbs.put_token(
                        message, self.policy, self._hubs, connection.hubs
                    ),
                )
            case ("$management",):
                authorized = self._hubs if connection.trusted else connection.hubs
                return _request_response(
                    session,
                    attach,
                    lambda message: management.read(message, self._hubs, authorized),
                )
            case (name,) if attach.peer_sends:
                hub = self._hub(connection, name)
                return self._sender(session, attach, hub, hub.choose)
            case (name, "Partitions", number) if attach.peer_sends:
                hub = self._hub(connection, name)
                partition = hub.partitions[_partition_number(hub, number)]
                return self._sender(session, attach, hub, lambda _: partition)
            case (name, "ConsumerGroups", group, "Partitions", number) if not attach.peer_sends:
                hub = self._hub(connection, name)
                return self._receiver(session, attach, hub, group, _partition_number(hub, number))
        raise AmqpError("amqp:not-found", "The messaging entity could not be found.")

    def _hub(self, connection: Connection, name: str) -> Hub:
        if name not in self._hubs:
            raise AmqpError("amqp:not-found", f"The messaging entity '{name}' could not be found.")
        if not connection.trusted and name not in connection.hubs:
            words = f"Unauthorized access. A token for '{name}' has to be put first."
            raise AmqpError("amqp:unauthorized-access", words)
        return self._hubs[name]

    def _sender(
        self,
        session: Session,
        attach: Attach,
        hub: Hub,
        choose: Callable[[str | None], Partition],
    ) -> Opened:
        def take(message_format: int, payload: bytes) -> None:
            self._faults.check(hub.name)
            events = contents(message_format, payload)
            if events:
                choose(events[0].partition_key).append(events)

        return Opened(TakingLink(session, attach.handle, take))

    def _receiver(
        self, session: Session, attach: Attach, hub: Hub, group: str, number: int
    ) -> Opened:
        if self._groups and group.lower() not in [name.lower() for name in self._groups]:
            raise AmqpError("amqp:not-found", f"The consumer group '{group}' could not be found.")
        partition = hub.partitions[number]
        cursor = Cursor(partition, attach)
        stand_up = self._seats.take(
            (hub.name, group.lower(), number),
            attach.properties.get(EPOCH),
            lambda error: session.detach(attach.handle, error),
        )
        link = GivingLink(session, attach.handle, cursor.following)
        partition.readers.add(link.pump)

        def leave() -> None:
            partition.readers.discard(link.pump)
            stand_up()

        return Opened(link, leave)


def _request_response(session: Session, attach: Attach, answer: Callable[[bytes], bytes]) -> Opened:
    address = attach.path[0]
    if attach.peer_sends:

        def take(_: int, payload: bytes) -> None:
            if address not in session.replies:
                raise AmqpError("amqp:not-allowed", "There is no link for the answer.")
            session.replies[address](answer(payload))

        return Opened(TakingLink(session, attach.handle, take))
    answers = deque[bytes]()
    link = GivingLink(session, attach.handle, lambda: answers.popleft() if answers else None)

    def reply(message: bytes) -> None:
        answers.append(message)
        link.pump()

    session.replies[address] = reply
    return Opened(link, lambda: session.replies.pop(address, None) and None)


def _partition_number(hub: Hub, text: str) -> int:
    if not text.isdecimal() or int(text) >= len(hub.partitions):
        raise AmqpError(
            "com.microsoft:argument-out-of-range",
            "The specified partition is invalid for an EventHub partition sender or receiver. "
            f"It should be between 0 and {len(hub.partitions) - 1}.",
        )
    return int(text)
