"""Reading record files for the publish command, and what it does with its arguments."""

import io
from pathlib import Path
from typing import Literal

import pytest

from scoring.errors import InputError
from stream_worker.publish import FileRecord, main, read_records
from stream_worker.settings import PublishSettings
from tests.support.toy import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle without its model, which publishing does not need."""
    made = make_bundle(tmp_path_factory.mktemp("publish") / "bundle", reference=0)
    (made / "model.onnx").unlink()
    return made


def records(text: str, form: Literal["csv", "jsonl"], bundle: Path | None) -> list[FileRecord]:
    """Records of a text."""
    settings = PublishSettings(
        file="f", bundle=bundle, format=form, record_id_column="id", bootstrap_servers="h:1"
    )
    return [r for chunk in read_records(settings, io.BytesIO(text.encode())) for r in chunk]


def test_cells_are_typed_by_the_signature(bundle: Path) -> None:
    """Features get their types, a cell that fits none stays text, an empty one is null."""
    text = 'id,x,n,flag,name,comment\n17,1.5,3,true,"a, ""b""\nc",12\n\n018,x,,1,,\n'
    assert records("\ufeff" + text, "csv", bundle) == [
        FileRecord(
            "17", {"x": 1.5, "n": 3, "flag": True, "name": 'a, "b"\nc'}
        ),
        FileRecord(
            "018", {"x": "x", "n": None, "flag": "1", "name": None}
        ),
    ]  # fmt: skip


def test_both_formats_give_the_same_records(bundle: Path) -> None:
    """A record is the same event whichever file it came from."""
    lines = '{"id": 17, "x": 1.5, "n": 3, "flag": true, "name": "a"}\n\n'
    text = "id,x,n,flag,name\n17,1.5,3,true,a\n"
    assert records(lines, "jsonl", bundle) == records(text, "csv", bundle)


def test_the_id_column_stays_where_it_is_a_feature(bundle: Path) -> None:
    """It is data only for a model that uses it; without a bundle nobody knows, and it is not."""
    lines = '{"id": 17, "name": "a"}'
    assert records(lines, "jsonl", bundle) == [FileRecord("17", {"name": "a"})]
    assert records(lines, "jsonl", None) == [FileRecord("17", {"name": "a"})]
    settings = PublishSettings(
        file="f", bundle=bundle, format="csv", record_id_column="name", bootstrap_servers="h:1"
    )
    (found,) = read_records(settings, io.BytesIO(b"name,n\na,3\n"))
    assert found == [FileRecord("a", {"name": "a", "n": 3})]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_fields_the_model_ignores_are_not_published(
    bundle: Path, form: Literal["csv", "jsonl"]
) -> None:
    """They would travel for nothing, and one of them may be the outcome."""
    text = {"csv": "id,n,comment\n1,3,secret\n", "jsonl": '{"id": 1, "n": 3, "comment": "secret"}'}
    assert records(text[form], form, bundle) == [FileRecord("1", {"n": 3})]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x\n1\n", "no column 'id'"),
        ("id,x\n1,2\n1,2,3\n", "row 2 must have as many cells"),
        ("id,x\n,2\n", "row 1: 'id' must be"),
        ('id,x\n1,"2\n', "row 1 must be CSV"),
    ],
)
def test_a_csv_file_that_cannot_be_read_names_the_row(bundle: Path, text: str, error: str) -> None:
    """The file as a whole is wrong, and the text says where."""
    with pytest.raises(InputError, match=error):
        records(text, "csv", bundle)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"id": "a"}\n{"id": ', "row 2 is not JSON"),
        ("[1]", "row 1 must be one JSON object"),
        ('{"x": 1}', "row 1: 'id' must be"),
        ('{"id": true}', "row 1: 'id' must be"),
        ('{"id": 1.5}', "row 1: 'id' must be"),
    ],
)
def test_a_json_line_that_cannot_be_read_is_named(text: str, error: str) -> None:
    """Every line is one object with a record id."""
    with pytest.raises(InputError, match=error):
        records(text, "jsonl", None)


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
