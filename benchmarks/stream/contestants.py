"""Who reads the same hub as the worker, each in a process of its own.

    python -m benchmarks.stream.contestants < PLAN

`consume` only reads, with aiokafka. `pass` is a FastStream handler that republishes each batch as
it is, `decode` the same with FastStream's own decoding of JSON and back. `pyfunc` is a FastStream
handler that decodes a message, calls the MLflow model and publishes its score. The handlers
acknowledge when they are done (`AckPolicy.ACK`). It ends after the plan's number of events;
`consume` says how many seconds lay between its first and its last fetch.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from benchmarks.online.servers import BenchError
from benchmarks.stream.bench import hush


class Contest(msgspec.Struct, frozen=True):
    """Read `count` events of `events_hub`, at most `max_records` at a time, as a new group."""

    kind: Literal["consume", "pass", "decode", "pyfunc"]
    bootstrap: str
    events_hub: str
    results_hub: str
    group: str
    count: int
    max_records: int
    model: str = ""


def compete(contest: Contest, seconds: float) -> str:
    """Run it; what it said. Raises BenchError when it fails or takes longer."""
    command = [sys.executable, "-m", "benchmarks.stream.contestants"]
    try:
        done = subprocess.run(
            command, input=msgspec.json.encode(contest), stdout=subprocess.PIPE,
            check=False, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BenchError(f"{contest.kind} was not done in {seconds:.0f} s") from None
    if done.returncode:
        raise BenchError(f"{contest.kind} failed; what it said stands above")
    return done.stdout.decode()


def main() -> None:
    """Read the plan and carry it out."""
    hush()
    contest = msgspec.json.decode(sys.stdin.buffer.read(), type=Contest)
    runs: dict[str, Callable[[Contest], Awaitable[None]]] = {
        "consume": _consume,
        "pass": _pass_through,
        "decode": _pass_through,
        "pyfunc": _pyfunc,
    }
    asyncio.run(_awaited(runs[contest.kind](contest)))


async def _awaited(run: Awaitable[None]) -> None:
    await run


async def _consume(contest: Contest) -> None:
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        contest.events_hub,
        bootstrap_servers=contest.bootstrap,
        group_id=contest.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    count, first = 0, 0.0
    try:
        while count < contest.count:
            batches = await consumer.getmany(timeout_ms=50, max_records=contest.max_records)
            if batches and not count:
                first = time.perf_counter()
            count += sum(map(len, batches.values()))
        print(time.perf_counter() - first)
    finally:
        await consumer.stop()


async def _pass_through(contest: Contest) -> None:
    from faststream import AckPolicy, FastStream
    from faststream.kafka import KafkaBroker

    broker = _broker(contest, KafkaBroker)
    app = FastStream(broker, logger=None)
    count = 0

    async def undecoded(message: Any) -> Any:
        return message.body

    @broker.subscriber(  # type: ignore[untyped-decorator]
        contest.events_hub, batch=True, group_id=contest.group, max_records=contest.max_records,
        batch_timeout_ms=50, auto_offset_reset="earliest", ack_policy=AckPolicy.ACK,
        decoder=undecoded if contest.kind == "pass" else None,
    )  # fmt: skip
    async def republish(bodies: list[Any]) -> None:
        nonlocal count
        await broker.publish_batch(*bodies, topic=contest.results_hub)
        count += len(bodies)
        if count >= contest.count:
            app.exit()

    await app.run()


async def _pyfunc(contest: Contest) -> None:
    import mlflow.pyfunc
    import pandas as pd
    from faststream import AckPolicy, FastStream
    from faststream.kafka import KafkaBroker

    model = mlflow.pyfunc.load_model(contest.model)
    broker = _broker(contest, KafkaBroker)
    app = FastStream(broker, logger=None)
    count = 0

    @broker.subscriber(  # type: ignore[untyped-decorator]
        contest.events_hub, group_id=contest.group, auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
    )  # fmt: skip
    async def score(event: dict[str, Any]) -> None:
        nonlocal count
        result = model.predict(pd.DataFrame([event["data"]]))
        data = {"score": float(result[0][-1]), "causationid": event["id"]}
        await broker.publish(data, topic=contest.results_hub, key=event["subject"].encode())
        count += 1
        if count >= contest.count:
            app.exit()

    await app.run()


def _broker(contest: Contest, kind: Any) -> Any:
    return kind(
        contest.bootstrap,
        acks="all",
        max_batch_size=1_000_000,
        max_request_size=1_000_000,
        apply_types=False,
        allow_auto_create_topics=False,
        logger=None,
    )


if __name__ == "__main__":
    main()
