"""Schemathesis over the whole OpenAPI document: what it promises is what happens.

Requests that the document allows and requests that it does not, from its examples, from the edges
of its schemas and at random, the same ones in every run.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from schemathesis import Case, CheckContext, Response

from online_api.access.key_file import hash_of
from online_api.context import Limits
from scoring.model import ModelBundle
from scoring.model_loader import load_model
from tests.support import echo
from tests.support.fuzz import config, quoting, run
from tests.support.log_entries import wide_model
from tests.support.online import open_api, open_server
from tests.support.reasons import add_linear
from tests.support.toy import NOW, make_bundle

pytestmark = pytest.mark.fuzz

CASES = 5000
KEY = "trilane_fuzz"
LIMITS = Limits(max_body_bytes=200_000, max_records=50)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[ModelBundle]:
    """One of required fields with reasons; one with optional fields of every type, without."""
    bundle = make_bundle(tmp_path_factory.mktemp("toy") / "bundle", reference=0)
    plain, toy = load_model(bundle, NOW), load_model(add_linear(bundle, 0.5), NOW)
    wide = wide_model(plain)
    manifest = msgspec.structs.replace(wide.manifest, name="wide", digest="0" * 64)
    return [toy, replace(wide, manifest=manifest)]


@contextmanager
def opened_app(models: list[ModelBundle]) -> Iterator[Any]:
    """The API over the models in this process."""
    with asyncio.Runner() as runner:
        opening = open_api(models[0], LIMITS, challengers=models[1:], started=False)
        yield runner.run(opening.__aenter__()).app  # Schemathesis starts it
        runner.run(opening.__aexit__(None, None, None))


@schemathesis.check
def nothing_is_repeated(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """No unusual value of the request stands in the answer."""
    body = case.body if isinstance(case.body, dict | list) else {}
    for place in (body, case.query or {}, case.path_parameters or {}):
        for text in echo.unusual(place):
            if text not in str(case.operation.schema.raw_schema):
                assert text not in echo.repeated(response.content), text


@schemathesis.check
def no_marker_is_repeated(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """The same request with every value marked; no marker stands in the answer."""
    if isinstance(case.body, dict | list):
        body: Any = echo.marked(case.body)
    elif isinstance(case.body, str) and case.media_type == "text/csv":
        body = echo.marked_csv(case.body)
    else:
        return
    answer = replace_body(case, body).call(headers={"X-API-Key": KEY})
    heads = " ".join(f"{name}: {value}" for name, value in answer.headers.items())
    for text in (echo.repeated(answer.content), heads):
        assert echo.VALUE not in text
        assert str(echo.NUMBER) not in text
        assert echo.NAME not in text
    assert answer.status_code < 500


def replace_body(case: Case[Any], body: Any) -> Any:
    """The same request with another body."""
    return case.operation.Case(
        method=case.method,
        path_parameters=case.path_parameters,
        headers=case.headers,
        query=case.query,
        body=body,
        media_type=case.media_type,
    )


@schemathesis.check
def what_is_allowed_is_taken(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """A body of `/predict` that its schema allows is scored, unless a value is beyond its type.

    Bounds of numbers and times are in words in the document, as no browser shows 64 bits.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.method != "POST" or not case.operation.path.startswith("/predict"):
        return
    if response.status_code == 200:
        return
    problem = response.json()
    beyond = problem["detail"].startswith("event_time must be")
    codes = {error["code"] for error in problem.get("errors", [])}
    assert beyond or codes == {"out_of_range"}, problem


def test_the_document_is_true(models: list[ModelBundle]) -> None:
    """No fault of the server, no answer that the document does not describe, no wrong request that
    is accepted, no value repeated.
    """
    with opened_app(models) as app:
        seen = run(schemathesis.openapi.from_asgi("/openapi.json", app, config=config(330, 40)))
    print(f"{seen.cases.total()} cases, {dict(seen.cases)}, {dict(seen.statuses)}")
    assert not seen.failures, "\n\n".join(seen.failures)
    assert seen.cases.total() >= CASES
    assert {200, 400, 404, 405, 413, 415, 422} <= set(seen.statuses)


def test_a_server_with_keys_keeps_to_it(tmp_path: Path) -> None:
    """The same over the wire; and no route that asks for a key answers without one."""
    bundle = make_bundle(tmp_path / "bundle", reference=0)
    keys = tmp_path / "keys.json"
    entry = {"name": "fuzz", "sha256": hash_of(KEY.encode()).hex(), "roles": ["admin"]}
    keys.write_text(json.dumps({"keys": [entry]}))
    auth = {"openapi": {"ApiKey": {"api_key": KEY}}}
    with open_server(bundle, tmp_path, api_keys_file=keys, max_records=50) as server:
        url = f"{server.url}/openapi.json"
        seen = run(schemathesis.openapi.from_url(url, config=config(20, 5, auth=auth)))
        assert server.stop() == 0
    print(f"{seen.cases.total()} cases, {dict(seen.cases)}, {dict(seen.statuses)}")
    assert not seen.failures, "\n\n".join(seen.failures)
    assert {200, 400, 401, 404, 405, 415, 422} <= set(seen.statuses)


def test_what_repeats_is_found(models: list[ModelBundle]) -> None:
    """An app whose problems quote the request fails both checks for it."""
    with opened_app(models) as app:
        schema = schemathesis.openapi.from_asgi("/openapi.json", quoting(app), config=config(5, 1))
        seen = run(schema.include(path="/predict"))
    found = {failure.partition(":")[0] for failure in seen.failures}
    assert {"nothing_is_repeated", "no_marker_is_repeated"} <= found
