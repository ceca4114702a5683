"""SASL in front of a connection (OASIS AMQP 1.0, part 5): what the service offers, and its answer.

ANONYMOUS, EXTERNAL and MSSBCBS let anybody in who then puts a token to `$cbs`; PLAIN takes the name
and the key of the policy, and needs no token.
"""

from enum import Enum, auto
from typing import Any

from tests.support.amqp_hub.frames import SASL_MECHANISMS, SASL_OUTCOME, frame
from tests.support.amqp_hub.tokens import Policy
from tests.support.amqp_hub.values import Symbols, UByte

OFFER = frame(0, SASL_MECHANISMS, [Symbols(("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"))])


class Entry(Enum):
    """What the peer may do after SASL."""

    REFUSED = auto()
    NEEDS_TOKEN = auto()
    TRUSTED = auto()

    def outcome(self) -> bytes:
        """The frame that says so."""
        return frame(0, SASL_OUTCOME, [UByte(self is Entry.REFUSED)])


def entry(fields: list[Any], policy: Policy) -> Entry:
    """The answer to sasl-init, whose fields are mechanism, initial response and host name."""
    mechanism, response = fields[0], fields[1] or b""
    if mechanism == "PLAIN":
        known = response.split(b"\0")[1:] == [policy.name.encode(), policy.key.encode()]
        return Entry.TRUSTED if known else Entry.REFUSED
    open_to_all = mechanism in ("ANONYMOUS", "EXTERNAL", "MSSBCBS")
    return Entry.NEEDS_TOKEN if open_to_all else Entry.REFUSED
