"""Creating hubs."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


def create_hubs(bootstrap: str, names: Sequence[str], partitions: int) -> None:
    """Returns when every partition answers. Raises AssertionError when the broker refuses one.

    May be called where an event loop runs, which then stands still until it is done.
    """
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _create(bootstrap, names, partitions)).result()


async def _create(bootstrap: str, names: Sequence[str], partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
    finally:
        await admin.close()
    refused = [(topic, reason) for topic, code, reason in answer.topic_errors if code != 0]
    assert not refused, refused
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        # The metadata names a leader before that one answers; this asks it until it does.
        await consumer.end_offsets([TopicPartition(n, p) for n in names for p in range(partitions)])
    finally:
        await consumer.stop()
