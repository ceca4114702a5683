"""What a test makes go wrong while the server runs."""

from dataclasses import dataclass, field

from tests.support.amqp_hub.frames import AmqpError
from tests.support.amqp_hub.links import LinkClosedError


@dataclass
class Faults:
    """By hub: the condition with which messages are refused, and whether the link is closed too."""

    refusals: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def check(self, hub: str) -> None:
        """Raises AmqpError, or LinkClosedError, if messages to the hub are to be refused."""
        if hub in self.refusals:
            condition, detach = self.refusals[hub]
            raise (LinkClosedError if detach else AmqpError)(condition, "A test asked for this.")
