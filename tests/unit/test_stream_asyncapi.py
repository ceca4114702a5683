"""The AsyncAPI document of the stream worker: typed by the model, and true."""

import base64
import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from adapters.event_hub.attributes import binary_attributes
from scoring.errors import ModelError
from scoring.manifest import OutputColumn, OutputSpec
from scoring.model import ModelBundle
from scoring.records import Column, RecordBatch, RejectionCode
from scoring.score import score
from scoring.validation import validate_rows
from stream_worker.asyncapi import asyncapi_pages
from stream_worker.asyncapi.hubs import SignIn, Transport
from stream_worker.asyncapi.words import CODES, publish_command
from stream_worker.settings import PublishSettings
from tests.support.asyncapi import HUBS, document_of, example, message, references, validator
from tests.support.log_entries import WIDE_ROWS, wide_model
from tests.support.reasons import expected_reasons, explained
from tests.support.toy import EXAMPLE, load_toy

MESSAGES = ("Event", "BinaryEvent", "Score", "DeadLetter")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def schemas_of(model: ModelBundle, **changed: Any) -> dict[str, Any]:
    """The schemas of the document."""
    found: dict[str, Any] = document_of(model, replace(HUBS, **changed))["components"]["schemas"]
    return found


class Failing:
    """A backend that fails."""

    def compute(self, _: RecordBatch) -> Mapping[str, Column]:
        """Raises ModelError."""
        raise ModelError("no")


def test_the_document_is_whole(toy: ModelBundle) -> None:
    """FastStream's classes take it, every reference leads somewhere, every schema is one."""
    for hubs in (HUBS, replace(HUBS, transport="amqp", servers=())):
        document = document_of(toy, hubs)
        ApplicationSchema.model_validate(document)
        assert document["asyncapi"] == "3.0.0"
        found = set(references(document))
        assert len(found) > 10
        for reference in found:
            part = document
            for name in reference.removeprefix("#/").split("/"):
                part = part[name]
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft7Validator.check_schema(schema)


def test_the_hubs_are_channels(toy: ModelBundle) -> None:
    """With their names as addresses, and what the worker does there."""
    document = document_of(toy)
    channels = document["channels"]
    assert {name: channel["address"] for name, channel in channels.items()} == {
        "events": "events",
        "scores": "scores",
        "deadLetters": "dead",
    }
    assert list(channels["events"]["messages"]) == ["Event", "BinaryEvent"]
    operations = document["operations"]
    assert {name: operation["action"] for name, operation in operations.items()} == {
        "receiveEvents": "receive",
        "sendScores": "send",
        "sendDeadLetters": "send",
    }
    assert operations["receiveEvents"]["bindings"]["kafka"]["groupId"]["const"] == "group"
    assert "10,000 bytes" in operations["receiveEvents"]["description"]
    assert document["info"]["version"] == "7"
    for name in MESSAGES:
        assert "`subject`" in message(document, name)["bindings"]["kafka"]["key"]["description"]


@pytest.mark.parametrize(
    ("transport", "secured", "sign_in", "protocol", "scheme"),
    [
        ("kafka", False, "none", "kafka", None),
        ("kafka", True, "none", "kafka-secure", None),
        ("kafka", False, "connection_string", "kafka", "plain"),
        ("kafka", True, "connection_string", "kafka-secure", "plain"),
        ("kafka", True, "workload_identity", "kafka-secure", "http"),
        ("amqp", True, "connection_string", "amqps", "userPassword"),
        ("amqp", True, "workload_identity", "amqps", "http"),
        ("amqp", False, "connection_string", "amqp", "userPassword"),
    ],
)
def test_servers_say_how_to_connect(
    toy: ModelBundle,
    transport: Transport,
    secured: bool,
    sign_in: SignIn,
    protocol: str,
    scheme: str | None,
) -> None:
    """Protocol by transport and TLS, scheme by how one signs in; several servers have numbers."""
    hubs = replace(HUBS, transport=transport, secured=secured, sign_in=sign_in)
    document = document_of(toy, hubs)
    (server,) = document["servers"].values()
    assert (server["host"], server["protocol"]) == ("127.0.0.1:9092", protocol)
    if scheme is None:
        assert "security" not in server
        assert "securitySchemes" not in document["components"]
    else:
        assert server["security"] == [{"$ref": "#/components/securitySchemes/signIn"}]
        assert document["components"]["securitySchemes"]["signIn"]["type"] == scheme
    assert ("bindings" in message(document, "Event")) == (transport == "kafka")
    two = document_of(toy, replace(hubs, servers=("a:1", "b:2")))["servers"]
    assert list(two) == [f"{transport}-1", f"{transport}-2"]


def test_fields_have_types_and_words(toy: ModelBundle) -> None:
    """Those of the signature, and the ignored one; an optional one may be null."""
    record = schemas_of(toy)["Record"]
    assert record["required"] == ["x", "n", "flag", "name"]
    assert list(record["properties"]) == ["x", "n", "flag", "name", "comment"]
    assert record["properties"]["n"]["format"] == "int64"
    assert "64 bits" in record["properties"]["n"]["description"]
    assert "not used" in record["properties"]["comment"]["description"]
    assert record["additionalProperties"] is False
    assert "example" not in record
    wide = document_of(wide_model(toy))
    assert wide["components"]["schemas"]["Record"]["required"] == ["scored_at"]
    for row in WIDE_ROWS:
        validator(wide, {"$ref": "#/components/schemas/Record"}).validate(
            {k: f"{v}Z" if k == "when" and v[-1] != "Z" else v for k, v in row.items()}
        )


def test_outputs_have_types_and_words(toy: ModelBundle) -> None:
    """Every member of a score is described and always there; reasons when the worker gives any."""
    data = schemas_of(toy)["Score"]
    assert list(data["properties"]) == [
        *("record_id", "score", "label", "outlier", "outlier_score"),
        *("model", "causationid", "causationsource", "causationtime"),
    ]
    assert data["required"] == list(data["properties"])
    assert data["properties"]["label"]["enum"] == ["No", "Yes"]
    assert data["properties"]["model"]["properties"]["version"]["const"] == "7"
    reasons = schemas_of(explained(toy), reasons=2)["Score"]["properties"]["reasons"]
    assert (reasons["minItems"], reasons["maxItems"]) == (2, 2)
    assert schemas_of(explained(toy), reasons=9)["Score"]["properties"]["reasons"]["maxItems"] == 4


def test_an_output_that_would_meet_an_added_member_is_renamed(toy: ModelBundle) -> None:
    """In the schema as in the event."""
    spec = OutputSpec("columns", ["Yes"], [OutputColumn("model", "double")])
    manifest = msgspec.structs.replace(toy.manifest, output=spec)
    document = document_of(replace(toy, manifest=manifest))
    data = document["components"]["schemas"]["Score"]["properties"]
    assert data["output.model"]["type"] == "number"
    assert data["model"]["type"] == "object"
    assert list(example(document, "Score")["payload"]["data"]) == list(data)


@pytest.mark.parametrize("transport", ["kafka", "amqp"])
def test_examples_hold_to_their_schemas(toy: ModelBundle, transport: Transport) -> None:
    """Payloads and headers; nothing that a schema does not name."""
    hubs = replace(HUBS, transport=transport, reasons=2)
    document = document_of(explained(toy), hubs)
    for name in MESSAGES:
        shown, told = example(document, name), message(document, name)
        validator(document, told["payload"]).validate(shown["payload"])
        if "headers" in told:
            validator(document, told["headers"]).validate(shown["headers"])
            assert set(shown["headers"]) <= set(told["headers"]["properties"])
    schemas = document["components"]["schemas"]
    for name, event, data in [
        ("Event", "Event", "Record"),
        ("Score", "ScoreEvent", "Score"),
        ("DeadLetter", "DeadLetterEvent", "DeadLetter"),
    ]:
        payload = example(document, name)["payload"]
        assert set(payload) <= set(schemas[event]["properties"])
        assert set(payload["data"]) <= set(schemas[data]["properties"])
        if name != "Event":
            assert set(payload["data"]) == set(schemas[data]["required"])


def test_the_example_is_the_models_own(toy: ModelBundle) -> None:
    """The record of the bundle, in both modes, with the prefix of the protocol."""
    document = document_of(toy)
    event, binary = example(document, "Event")["payload"], example(document, "BinaryEvent")
    assert list(event["data"].items()) == list(EXAMPLE.items())
    assert binary["payload"] == event["data"]
    assert binary["headers"]["ce_id"] == event["id"]
    assert binary["headers"]["content-type"] == "application/json"
    amqp = example(document_of(toy, replace(HUBS, transport="amqp")), "BinaryEvent")["headers"]
    assert amqp["cloudEvents:id"] == event["id"]
    read = [
        binary_attributes(tuple((name, text.encode()) for name, text in headers.items()))
        for headers in (binary["headers"], amqp)
    ]
    expected = {k: v.encode() for k, v in event.items() if k not in ("data", "datacontenttype")}
    assert read == [expected, expected]


def test_the_examples_score_is_a_score(toy: ModelBundle) -> None:
    """What `score` gives for the example, of the event that is shown, with its reasons."""
    model = explained(toy)
    document = document_of(model, replace(HUBS, reasons=2))
    event, shown = (example(document, name)["payload"] for name in ("Event", "Score"))
    (prediction,) = score(
        model, validate_rows(model.schema, [event["data"]], [event["subject"]]).batch
    ).predictions()
    assert prediction.items() <= shown["data"].items()
    assert shown["data"]["causationid"] == event["id"]
    assert shown["data"]["causationsource"] == event["source"]
    assert [r["feature"] for r in shown["data"]["reasons"]] == [
        r["feature"] for r in expected_reasons(EXAMPLE, 2)
    ]


def test_the_dead_letter_is_of_the_example(toy: ModelBundle) -> None:
    """Without its first required field; the event is in it as it was."""
    document = document_of(toy)
    data = example(document, "DeadLetter")["payload"]["data"]
    assert (data["code"], data["detail"]) == ("missing_field", "x: is required")
    original = json.loads(base64.b64decode(data["original"]))
    event = example(document, "Event")["payload"]
    assert original == {**event, "data": {k: v for k, v in EXAMPLE.items() if k != "x"}}


def test_a_model_may_have_no_example_or_fail_on_it(toy: ModelBundle) -> None:
    """Then the document shows none, or no score, and is a document all the same."""
    without = document_of(wide_model(toy))
    assert not any("examples" in message(without, name) for name in MESSAGES)
    failing = document_of(replace(toy, backend=Failing()))
    assert "examples" in message(failing, "DeadLetter")
    assert "examples" not in message(failing, "Score")


def test_every_code_of_a_dead_letter_is_explained(toy: ModelBundle) -> None:
    """All codes but that of a refused request, which this lane does not have."""
    assert set(CODES) == set(RejectionCode) - {RejectionCode.REQUEST_REJECTED}
    code = schemas_of(toy)["DeadLetter"]["properties"]["code"]
    assert code["enum"] == [str(code) for code in CODES]
    for one, words in CODES.items():
        assert f"- `{one}`: {words}" in code["description"]


@pytest.mark.parametrize("transport", ["kafka", "amqp"])
@pytest.mark.parametrize("sign_in", ["none", "connection_string", "workload_identity"])
def test_the_publish_command_is_one(transport: Transport, sign_in: SignIn) -> None:
    """Its flags are flags, the hub is the hub, and no word of it can become another command."""
    hubs = replace(HUBS, transport=transport, sign_in=sign_in, events="a hub; reboot")
    command, subcommand, file, *rest = shlex.split(publish_command(hubs))
    assert (command, subcommand, file) == ("trilane", "publish", "records.csv")
    flags = {word.removeprefix("--").replace("-", "_") for word in rest if word.startswith("--")}
    assert flags <= set(PublishSettings.model_fields)
    assert rest[rest.index("--events-hub") + 1] == "a hub; reboot"
    assert ("transport" in flags) == (transport == "amqp")
    assert ("workload_identity" in flags) == (sign_in == "workload_identity")


def test_the_pages_are_the_document(toy: ModelBundle) -> None:
    """As JSON and as HTML, the same at every start."""
    pages = asyncapi_pages(toy, HUBS)
    assert list(pages) == ["/docs", "/asyncapi.json"]
    kind, body = pages["/asyncapi.json"]
    assert kind == "application/json"
    assert json.loads(body) == document_of(toy)
    assert asyncapi_pages(toy, HUBS) == pages
