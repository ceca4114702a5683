"""docs/api.md and docs/protocols.md say what the code does: what they leave out fails here."""

import json
import re
from pathlib import Path

import pytest

from online_api.context import DEFAULT_LIMITS
from online_api.problems import KINDS, Kind
from scoring.model_document import model_document
from scoring.records import RejectionCode
from tests.support.online import ROOT, open_api
from tests.support.openapi import routes_of
from tests.support.toy import load_toy
from training.data import FEATURES

TEXT = (ROOT / "docs" / "api.md").read_text()
PROTOCOLS = (ROOT / "docs" / "protocols.md").read_text()
OF_A_VERSION = "/versions/{version}"

# Event lanes refuse messages by size; here the whole body is refused.
ELSEWHERE = {RejectionCode.TOO_LARGE}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_problem_is_documented(kind: Kind) -> None:
    """A row with its status and code."""
    assert f"| {kind.status} | `{kind.code}` |" in TEXT


def test_no_other_problem_is_documented() -> None:
    """The table has no row for a code that does not exist."""
    rows = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", TEXT, re.MULTILINE)
    assert [(int(status), code) for status, code in rows] == [(k.status, k.code) for k in KINDS]


@pytest.mark.parametrize("code", sorted(set(RejectionCode) - ELSEWHERE))
def test_every_rejection_code_is_documented(code: RejectionCode) -> None:
    """A record refused online has one of these."""
    assert f"`{code}`" in TEXT


async def test_every_route_is_documented(tmp_path: Path) -> None:
    """Each stands in a table; one of a version goes without saying once that is said."""
    assert f"`{OF_A_VERSION}`" in PROTOCOLS
    async with open_api(load_toy(tmp_path / "bundle", reference=0)) as api:
        for method, path in routes_of(api.app):
            route = f"`{method} {path.replace(OF_A_VERSION, '')}`"
            rows = re.findall(rf"^\|.*{re.escape(route)}.*\|", TEXT + PROTOCOLS, re.MULTILINE)
            assert rows, route


def test_the_limits_are_the_defaults() -> None:
    """The documented figures are those of the code."""
    assert f"| `TRILANE_MAX_BODY_BYTES` | {DEFAULT_LIMITS.max_body_bytes} |" in TEXT
    assert f"| `TRILANE_MAX_RECORDS` | {DEFAULT_LIMITS.max_records} |" in TEXT
    assert f"| `TRILANE_MICRO_BATCH_RECORDS` | {DEFAULT_LIMITS.micro_batch_records} |" in TEXT
    assert f"| `TRILANE_MAX_WAIT_SECONDS` | {DEFAULT_LIMITS.max_wait_seconds:g} |" in TEXT
    assert f"At most {DEFAULT_LIMITS.max_waiting} requests may wait" in TEXT


def test_every_member_of_the_model_document_is_documented(tmp_path: Path) -> None:
    """Each stands in the table of `GET /model`."""
    table = TEXT.partition("## GET /model")[2]
    for name in json.loads(model_document(load_toy(tmp_path / "bundle", reference=0))):
        assert f"`{name}`" in table


def test_the_example_is_a_record_of_the_shipped_model() -> None:
    """It has every feature, and every JSON block is JSON."""
    [example] = re.findall(r"<<'END'\n(.*?)\nEND", TEXT, re.DOTALL)
    [record] = json.loads(example)
    assert set(record) == {*FEATURES, "record_id"}
    for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL):
        json.loads(block)
