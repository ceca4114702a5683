"""Reading record files for the publish command, and what it does with its arguments."""

import io
from pathlib import Path
from typing import Any

import pytest

from scoring.bundle_schema import manifest_schema
from scoring.errors import InputError
from scoring.manifest import read_manifest
from scoring.schema import Feature, FieldType, Schema
from stream_worker.publish import main
from stream_worker.record_files import FileRecord, read_csv, read_json_lines
from tests.support.toy import make_bundle

SCHEMA = Schema(
    (
        Feature("x", FieldType.DOUBLE),
        Feature("n", FieldType.LONG),
        Feature("flag", FieldType.BOOLEAN),
        Feature("name", FieldType.STRING),
    ),
    frozenset({"comment"}),
)
WITH_ID = Schema((Feature("id", FieldType.LONG),))


def from_csv(text: str, schema: Schema = SCHEMA) -> list[FileRecord]:
    """Records of a CSV text."""
    return list(read_csv(io.BytesIO(text.encode()), schema, "id"))


def from_lines(text: str, schema: Schema | None = None) -> list[FileRecord]:
    """Records of a JSON Lines text."""
    return list(read_json_lines(io.BytesIO(text.encode()), schema, "id"))


def test_cells_are_typed_by_the_signature() -> None:
    """Features get their types, a cell that fits none stays text, an empty one is null."""
    text = 'id,x,n,flag,name,comment\n17,1.5,3,true,"a, ""b""\nc",12\n\n018,x,,1,,\n'
    assert from_csv("\ufeff" + text) == [
        FileRecord(
            "17", {"x": 1.5, "n": 3, "flag": True, "name": 'a, "b"\nc', "comment": "12"}
        ),
        FileRecord(
            "018", {"x": "x", "n": None, "flag": "1", "name": None, "comment": None}
        ),
    ]  # fmt: skip


def test_both_formats_give_the_same_records() -> None:
    """A record is the same event whichever file it came from."""
    lines = '{"id": 17, "x": 1.5, "n": 3, "flag": true, "name": "a"}\n\n'
    assert from_lines(lines) == from_csv("id,x,n,flag,name\n17,1.5,3,true,a\n")


def test_the_id_column_stays_where_it_is_a_feature() -> None:
    """It is data only for a model that uses it."""
    assert from_csv("id\n17\n", WITH_ID) == [FileRecord("17", {"id": 17})]
    assert from_lines('{"id": 17}', WITH_ID) == [FileRecord("17", {"id": 17})]
    assert from_lines('{"id": 17}') == [FileRecord("17", {})]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no column 'id'"),
        ("x\n1\n", "no column 'id'"),
        ("id,x\n1,2\n1,2,3\n", "line 3 has not as many cells"),
        ("id,x\n,2\n", "line 2: 'id' must be"),
        ('id,x\n1,"2\n', "no CSV"),
    ],
)
def test_a_csv_file_that_cannot_be_read_names_the_line(text: str, error: str) -> None:
    """The file as a whole is wrong, and the text says where."""
    with pytest.raises(InputError, match=error):
        from_csv(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"id": "a"}\n{"id": ', "line 2 is no JSON object"),
        ("[1]", "line 1 is no JSON object"),
        ('{"id": "a", "x": NaN}', "line 1 is no JSON object"),
        ('{"x": 1}', "line 1: 'id' must be"),
        ('{"id": true}', "line 1: 'id' must be"),
        ('{"id": 1.5}', "line 1: 'id' must be"),
    ],
)
def test_a_json_line_that_cannot_be_read_is_named(text: str, error: str) -> None:
    """Every line is one object with a record id."""
    with pytest.raises(InputError, match=error):
        from_lines(text)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["absent.jsonl", "--record-id-column", "id"], 1, "cannot read absent.jsonl"),
        (["a.csv", "--record-id-column", "id"], 1, "--bundle"),
        (["a.jsonl", "--record-id-column", "id"], 75, "did not answer"),
    ],
)
def test_exit_codes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    text: str,
) -> None:
    """1 for what a person must repair, 75 for a hub that does not answer."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "a.jsonl"):
        (tmp_path / name).write_text('{"id": 1}\n')
    assert main([*arguments, "--bootstrap-servers", "127.0.0.1:1"]) == code
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["f.csv", "--bootstrap-servers", "h:1"],
        ["f.csv", "--bootstrap-servers", "h:1", "--record-id-column", "id", "--event-time", "noon"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    """A missing or unreadable setting is an error of usage."""
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2


def test_the_toy_bundle_types_cells(tmp_path: Path) -> None:
    """The schema comes from the bundle's manifest without loading its model."""
    bundle = make_bundle(tmp_path / "bundle", reference=0)
    (bundle / "model.onnx").unlink()
    schema = manifest_schema(read_manifest(bundle))
    fields: dict[str, Any] = from_csv("id,n\n1,3\n", schema)[0].fields
    assert fields == {"n": 3}
