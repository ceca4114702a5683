"""The AsyncAPI document holds to the specification's own JSON Schema."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from scoring.model import ModelBundle
from tests.support.asyncapi import HUBS, document_of
from tests.support.log_entries import wide_model
from tests.support.reasons import explained
from tests.support.toy import load_toy

pytestmark = pytest.mark.asyncapi

SCHEMA = Path("var/npm/node_modules/@asyncapi/specs/schemas/3.0.0.json")


@pytest.fixture(scope="module")
def specification() -> Any:
    """A validator for documents."""
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.mark.parametrize("transport", ["kafka", "amqp"])
@pytest.mark.parametrize("sign_in", ["none", "connection_string", "workload_identity"])
def test_the_document_holds(
    specification: Any, toy: ModelBundle, transport: Any, sign_in: Any
) -> None:
    """For every transport and way to sign in, with reasons and without an example."""
    hubs = replace(HUBS, transport=transport, sign_in=sign_in, secured=True)
    specification.validate(document_of(explained(toy), replace(hubs, reasons=2)))
    specification.validate(document_of(wide_model(toy), hubs))


def test_a_document_that_is_wrong_is_found(specification: Any, toy: ModelBundle) -> None:
    """So the test above can fail, in the depths too."""
    for place, name, value in [
        (("operations", "sendScores"), "action", "publish"),
        (("channels", "events"), "bindings", {"kafka": {"partitions": "many"}}),
        (("components", "messages", "Event"), "correlationId", {}),
        (("components", "schemas", "Record"), "required", "x"),
    ]:
        document = document_of(toy)
        part = document
        for step in place:
            part = part[step]
        part[name] = value
        assert not specification.is_valid(document)
