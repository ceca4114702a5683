"""`$management`: READ of a hub and of a partition (Microsoft's protocol guide)."""

from collections.abc import Container, Mapping
from typing import Any

from tests.support.amqp_hub.hubs import Hub
from tests.support.amqp_hub.messages import request, response
from tests.support.amqp_hub.values import Int, Strings, Timestamp

ADDRESS = "$management"
HUB_TYPE, PARTITION_TYPE = "com.microsoft:eventhub", "com.microsoft:partition"


def read(payload: bytes, hubs: Mapping[str, Hub], authorized: Container[str]) -> bytes:
    """The answer to a READ of something the peer has put a token for."""
    message_id, properties, _ = request(payload)
    hub, kind = hubs.get(str(properties.get("name"))), properties.get("type")
    if hub is None:
        return _answer(message_id, 404, "The messaging entity could not be found.", None)
    if hub.name not in authorized:
        return _answer(message_id, 401, "Unauthorized access.", None)
    if properties.get("operation") == "READ" and kind == HUB_TYPE:
        return _answer(message_id, 200, "OK", _hub(hub))
    if properties.get("operation") == "READ" and kind == PARTITION_TYPE:
        partition = str(properties.get("partition"))
        if partition.isdecimal() and int(partition) < len(hub.partitions):
            return _answer(message_id, 200, "OK", _partition(hub, partition))
        return _answer(message_id, 404, "The partition could not be found.", None)
    return _answer(message_id, 400, "The operation is not supported.", None)


def _hub(hub: Hub) -> dict[str, Any]:
    ids = Strings(str(number) for number in range(len(hub.partitions)))
    return {
        "name": hub.name,
        "type": HUB_TYPE,
        "created_at": Timestamp(hub.created_milliseconds),
        "partition_count": Int(len(ids)),
        "partition_ids": ids,
    }


def _partition(hub: Hub, partition: str) -> dict[str, Any]:
    kept = hub.partitions[int(partition)]
    return {
        "name": hub.name,
        "type": PARTITION_TYPE,
        "partition": partition,
        "begin_sequence_number": 0,
        "last_enqueued_sequence_number": kept.last.sequence_number,
        "last_enqueued_offset": str(kept.last.offset),
        "last_enqueued_time_utc": Timestamp(kept.last.enqueued_milliseconds),
        "is_partition_empty": not kept.events,
    }


def _answer(message_id: Any, status: int, words: str, value: Any) -> bytes:
    properties = {"status-code": Int(status), "status-description": words}
    return response(message_id, properties, value)
