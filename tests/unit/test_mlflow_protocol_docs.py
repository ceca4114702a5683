"""docs/protocols.md says what the code does: its bodies are read and hold the same records."""

import json
import re

import pytest

from online_api.context import Limits
from online_api.protocols.csv_body import read_csv_body
from online_api.protocols.mlflow_body import read_mlflow_body
from online_api.protocols.open_inference_inputs import read_inputs
from online_api.protocols.open_inference_request import read_infer_body
from online_api.protocols.open_inference_tensors import DATATYPES
from online_api.protocols.record_tables import Table
from scoring.schema import Schema
from scoring.validation import validate_rows
from tests.support.online import ROOT

TEXT = (ROOT / "docs" / "protocols.md").read_text()
SCHEMA = Schema.from_signature(
    [
        {"name": "age", "type": "long"},
        {"name": "income", "type": "double"},
        {"name": "city", "type": "string"},
    ]
)
ROWS = [
    {"age": 41, "income": 5993.0, "city": "Rome"},
    {"age": 35, "income": 2090.5, "city": "Oslo"},
]
JSON_BLOCKS = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
BODIES = [block for block in JSON_BLOCKS if "predictions" not in block and "41" in block]


def read(body: bytes) -> Table:
    """The records of a body of either protocol, or of CSV."""
    if not body.startswith(b"{"):
        return read_csv_body(body, Limits())
    if isinstance(json.loads(body).get("inputs"), list):
        return read_inputs(read_infer_body(body, None), SCHEMA, Limits())
    return read_mlflow_body(body, SCHEMA, Limits()).table


def test_every_block_is_json() -> None:
    """Those that show answers too."""
    assert len(BODIES) == 6
    for block in JSON_BLOCKS:
        json.loads(block)


@pytest.mark.parametrize("block", [*BODIES, *re.findall(r"```csv\n(.*?)```", TEXT, re.DOTALL)])
def test_every_body_holds_the_same_records(block: str) -> None:
    """As it says."""
    valid = read(block.encode()).validated(SCHEMA, "r")
    expected = validate_rows(SCHEMA, ROWS, ["a", "b"])
    assert not valid.rejections
    found = [column.tolist() for column in valid.batch.columns]
    assert found == [column.tolist() for column in expected.batch.columns]


def test_every_datatype_is_documented() -> None:
    """By its name, or between the ends of its range."""
    between = {"INT16", "INT32", "UINT16", "UINT32"}
    for name in DATATYPES:
        assert name in between or f"`{name}`" in TEXT
