"""docs/api.md says what the code does: an undocumented route or code fails here."""

import json
import re
from pathlib import Path

import pytest

from online_api.app import create_app
from online_api.context import DEFAULT_LIMITS, Limits, Readiness
from online_api.context import Limits
from online_api.problems import KINDS, Kind
from scoring.model_document import model_document
from scoring.records import RejectionCode
from tests.support.online import MemoryLog
from tests.support.spool import open_spools
from tests.support.toy import load_toy
from training.data import FEATURES

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()

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


def test_every_route_is_documented(tmp_path: Path) -> None:
    """Each route of the app but the files of the page."""
    with open_spools(tmp_path) as spools:
        app = create_app(spools.model, MemoryLog(), spools.metrics, Limits(), Readiness())
    for route in app.routes:
        path = vars(route)["path"]
        method = "POST" if "POST" in vars(route)["methods"] else "GET"
        assert path.startswith("/assets/") or f"| `{method} {path}` |" in TEXT


def test_the_limits_are_the_defaults() -> None:
    """The documented figures are those of the code."""
    assert f"| `TRILANE_MAX_BODY_BYTES` | {DEFAULT_LIMITS.max_body_bytes} |" in TEXT
    assert f"| `TRILANE_MAX_RECORDS` | {DEFAULT_LIMITS.max_records} |" in TEXT
    assert f"| `TRILANE_MICRO_BATCH_RECORDS` | {DEFAULT_LIMITS.micro_batch_records} |" in TEXT
    assert f"| `TRILANE_MAX_WAIT_SECONDS` | {DEFAULT_LIMITS.max_wait_seconds:g} |" in TEXT
    assert f"At most {Limits().max_waiting} requests may wait" in TEXT


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
