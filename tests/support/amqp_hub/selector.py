"""Where a receiver begins: the selector filter of its source (Microsoft's protocol guide)."""

import re
from typing import Any

from tests.support.amqp_hub.frames import AmqpError
from tests.support.amqp_hub.hubs import Partition
from tests.support.amqp_hub.values import Described

FILTER = "apache.org:selector-filter:string"
_SELECTOR = re.compile(r"amqp\.annotation\.(x-opt-[a-z-]+) (>=?) '([^']*)'")
_ATTRIBUTES = {
    "x-opt-offset": "offset",
    "x-opt-sequence-number": "sequence_number",
    "x-opt-enqueued-time": "enqueued_milliseconds",
}


def first_index(partition: Partition, filters: dict[str, Any] | None) -> int:
    """The index of the first event to deliver; without a filter that of the first event.

    Raises AmqpError for a filter that is none, and for a place the partition has not reached.
    """
    given = (filters or {}).get(FILTER)
    if given is None:
        return 0
    text = given.value if isinstance(given, Described) else given
    parts = _SELECTOR.fullmatch(str(text))
    attribute = _ATTRIBUTES.get(parts[1]) if parts else None
    if parts is None or attribute is None:
        raise AmqpError("amqp:invalid-field", "The filter is not understood.")
    if parts[3] == "@latest":
        return len(partition.events)
    if not parts[3].removeprefix("-").isdecimal():
        raise AmqpError("com.microsoft:argument-error", f"The supplied {attribute} is no number.")
    value = int(parts[3])
    last = getattr(partition.last, attribute)
    if attribute != "enqueued_milliseconds" and value > last + 1:
        raise AmqpError(
            "com.microsoft:argument-error",
            f"The supplied {attribute} '{value}' is invalid. "
            f"The last {attribute} in the system is '{last}'",
        )
    return partition.first_after(attribute, value, inclusive=parts[2] == ">=")
