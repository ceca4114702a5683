"""What integrators are told in words. Descriptions are Markdown, as AsyncAPI has it."""

import shlex
from collections.abc import Mapping
from typing import Final

from adapters.event_hub.score_events import RUN_SOURCE
from scoring.model import ModelDescription
from scoring.records import RejectionCode
from stream_worker.asyncapi.hubs import DocumentedHubs

CODES: Final[Mapping[RejectionCode, str]] = {
    RejectionCode.MALFORMED: "it is no CloudEvent 1.0, no JSON, not UTF-8, nested too deeply or "
    "empty, or its `data` is no object",
    RejectionCode.TOO_LARGE: "it exceeds the limit; it is not decoded",
    RejectionCode.INVALID_RECORD_ID: "`subject` is absent, empty or longer than 256 characters",
    RejectionCode.MISSING_FIELD: "a required field is absent",
    RejectionCode.NULL_VALUE: "a required field is null",
    RejectionCode.UNKNOWN_FIELD: "the record has a field that the model does not know",
    RejectionCode.WRONG_TYPE: "a value is not of its field's type",
    RejectionCode.OUT_OF_RANGE: "a value is beyond what its field holds",
    RejectionCode.NOT_FINITE: "a number is `NaN` or infinite",
    RejectionCode.MODEL_ERROR: "the model failed on this record",
}
"""Every code of a dead letter, and when an event gets it."""

REPEATS: Final = (
    "Delivery is at least once. A repeat has the same `id`: drop an event whose `id` you have "
    "seen, or keep the latest per `subject` in the order of the partition."
)


def code_words() -> str:
    """The codes as a list."""
    lines = [f"- `{code}`: {words}" for code, words in CODES.items()]
    return "\n".join(["The first rule that was broken. An event lands here when", "", *lines])


def about(model: ModelDescription, hubs: DocumentedHubs) -> str:
    """What the worker does."""
    version = model.version
    return "\n\n".join(
        [
            f"The stream worker reads the events of `{hubs.events}` and answers each with exactly "
            f"one event in another hub: a score in `{hubs.scores}`, or a dead letter in "
            f"`{hubs.dead_letters}`. Events and answers are CloudEvents 1.0.",
            "Operations are named from the worker's side: what it receives, you publish; what it "
            "sends, you read.",
            f"Model `{version.name}` version `{version.version}`, bundle `{version.digest[:12]}`.",
        ]
    )


def about_publishing(hubs: DocumentedHubs) -> str:
    """How to publish events."""
    key = "key" if hubs.transport == "kafka" else "partition key"
    return "\n\n".join(
        [
            f"Publish to `{hubs.events}`, each event with the id of its record as `subject` and as "
            f"{key}: the events of one record then stay in order. Any `type` is scored. An event "
            f"may have {hubs.max_event_bytes:,} bytes. Do not use one `id` for two events of the "
            f"same `source`. The worker reads in the consumer group `{hubs.consumer_group}`.",
            f"To publish the records of a file{_secret(hubs)}:",
            f"```\n{publish_command(hubs)}\n```",
        ]
    )


def about_scores(hubs: DocumentedHubs) -> str:
    """How to read scores."""
    return (
        f"Read `{hubs.scores}` in a consumer group of your own. One event for each event that was "
        f"scored; `causationid` and `causationsource` name it. {REPEATS}\n\n"
        "Runs of the batch scorer may publish their scores here too, one event for each row of "
        f"their files: `causationsource` then begins with `{RUN_SOURCE}`."
    )


def about_dead_letters(hubs: DocumentedHubs) -> str:
    """How to read dead letters."""
    return (
        f"Read `{hubs.dead_letters}` in a consumer group of your own. One event for each event "
        "that was not scored, with the reason. Repair the record and publish it again with a new "
        f"`id`. {REPEATS} `original` holds whatever the event held, personal data included."
    )


def publish_command(hubs: DocumentedHubs) -> str:
    """`trilane publish` for these hubs, on three lines; the caller replaces the capitals."""
    file = ["trilane", "publish", "records.csv", "--bundle", "BUNDLE"]
    lines = [
        [*file, "--record-id-column", "COLUMN"],
        ["--events-hub", hubs.events],
        _connection(hubs),
    ]
    return " \\\n  ".join(shlex.join(line) for line in lines)


def _connection(hubs: DocumentedHubs) -> list[str]:
    identified = hubs.sign_in == "workload_identity"
    flags = ["--bootstrap-servers", ",".join(hubs.servers) or "HOST:PORT"]
    if hubs.transport == "amqp":
        flags = ["--transport", "amqp"]
        hosts = [server.rpartition(":")[0] or server for server in hubs.servers]
        if identified:
            flags += ["--event-hubs-namespace", *(hosts[:1] or ["NAMESPACE"])]
    return [*flags, "--workload-identity"] if identified else flags


def _secret(hubs: DocumentedHubs) -> str:
    if hubs.sign_in != "connection_string":
        return ""
    return ", with the connection string in `TRILANE_EVENT_HUBS_CONNECTION_STRING`"
