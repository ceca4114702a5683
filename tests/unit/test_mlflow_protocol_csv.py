"""`/invocations` with CSV: cells, headers, and what is no CSV."""

from collections.abc import AsyncIterator

import pytest

from online_api.context import Limits
from scoring.model import ModelBundle
from tests.support.online import GOOD, SECRET, Api, open_api, problem
from tests.support.protocols import CSV, as_csv
from tests.support.toy import expected_score, load_toy

HEADER = "x,n,flag,name"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
async def api(toy: ModelBundle) -> AsyncIterator[Api]:
    """The API over the toy model."""
    async with open_api(toy) as opened:
        yield opened


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n1.5,3,true,senior\n",
        f"{HEADER}\r\n1.5,3,True,senior",
        f"\n{HEADER}\n\n1.5,3,TRUE,senior\n\n",
        f"\ufeff{HEADER}\n+1.5,+3,true,senior\n",
        f'{HEADER}\n"1.5","3","true","senior"\n',
        "name,flag,n,x\nsenior,true,3.0,15e-1\n",
        f",{HEADER}\n0,1.5,3,true,senior\n",
        f"comment,{HEADER}\nanything,1.5,3,true,senior\n",
    ],
)
async def test_cells_are_read_by_the_schema(api: Api, text: str) -> None:
    """Whatever the order, the quotes and the ends of lines; an index column is not read."""
    answer = await api.client.post("/invocations", content=text.encode(), headers=CSV)
    assert answer.status_code == 200, answer.text
    (prediction,) = answer.json()["predictions"]
    assert prediction["score"] == pytest.approx(expected_score(GOOD), abs=1e-12)


async def test_quoted_text_keeps_commas_quotes_and_lines(api: Api) -> None:
    """As RFC 4180 has it."""
    text = 'a,"b"\nc'
    answer = await api.client.post(
        "/invocations", content=as_csv([{**GOOD, "name": text}]), headers=CSV
    )
    assert answer.status_code == 200
    (scored,) = (batch.scored for batch in api.log.batches)
    assert scored.batch.columns[3].tolist() == [text]


@pytest.mark.parametrize(
    ("row", "field", "code"),
    [
        (f"{SECRET},3,true,senior", "x", "wrong_type"),
        ("1.5,3.5,true,senior", "n", "wrong_type"),
        ('1.5,"1,000",true,senior', "n", "wrong_type"),
        ("1.5, 3,true,senior", "n", "wrong_type"),
        ("1.5,3,1,senior", "flag", "wrong_type"),
        ("nan,3,true,senior", "x", "not_finite"),
        (",3,true,senior", "x", "null_value"),
        ("1.5,3,true,", "name", "null_value"),
        ("1.5,9223372036854775808,true,senior", "n", "out_of_range"),
    ],
)
async def test_a_bad_cell_is_named(api: Api, row: str, field: str, code: str) -> None:
    """422 with record, field and rule; an empty cell is a null."""
    text = f"{HEADER}\n1.5,3,true,senior\n{row}\n"
    answer = await api.client.post("/invocations", content=text.encode(), headers=CSV)
    (error,) = problem(answer, 422, "invalid-records")["errors"]
    assert (error["field"], error["code"]) == (f"records[1].{field}", code)
    assert SECRET not in answer.text


async def test_unknown_and_missing_columns_are_errors_of_every_record(api: Api) -> None:
    """As a record with such fields is; only what the bundle ignores may be there."""
    text = f"x,n,flag,salary\n1.5,3,true,{SECRET}\n1.5,3,true,\n"
    answer = await api.client.post("/invocations", content=text.encode(), headers=CSV)
    errors = problem(answer, 422, "invalid-records")["errors"]
    assert [(e["field"], e["code"]) for e in errors] == [
        (f"records[{i}].{field}", code)
        for i in (0, 1)
        for field, code in (("salary", "unknown_field"), ("name", "missing_field"))
    ]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "must begin with a header"),
        (b"\n\n", "must begin with a header"),
        (b"x,n,x\n1,2,3\n", "must name no column twice"),
        (b"x,,n\n1,2,3\n", "column 2 of the header has no name"),
        (b"x,n\n1,2\n1\n", "row 2 of the body must have as many cells as the header"),
        (b"x,n\n1,2,3\n", "row 1 of the body must have as many cells as the header"),
        (b'x,n\n"1,2\n', "not CSV: a quote stays open"),
        (b'x,n\n"1"0,2\n', "not CSV: a quote stays open, or text follows"),
        (b"x,n\n1,\xff\n", "not UTF-8"),
        (f"1.5,3,true,{SECRET}\n1.5,3,true,a\n".encode(), "names no field of the model"),
    ],
)
async def test_what_is_no_csv_is_malformed(api: Api, body: bytes, detail: str) -> None:
    """400 with the rule and the row."""
    answer = await api.client.post("/invocations", content=body, headers=CSV)
    assert detail in problem(answer, 400, "malformed-request")["detail"]
    assert SECRET not in answer.text


async def test_the_number_of_rows_has_limits(toy: ModelBundle) -> None:
    """None are too few."""
    row = "1.5,3,true,senior\n"
    async with open_api(toy, Limits(max_records=3)) as api:
        for rows, status, code in ((0, 422, "no-records"), (4, 413, "too-many-records")):
            content = f"{HEADER}\n{row * rows}".encode()
            answer = await api.client.post("/invocations", content=content, headers=CSV)
            problem(answer, status, code)
        content = f"{HEADER}\n{row * 3}".encode()
        answer = await api.client.post("/invocations", content=content, headers=CSV)
        assert answer.status_code == 200


async def test_a_long_cell_is_text_like_any_other(api: Api) -> None:
    """The csv module alone would stop at 131,072 characters."""
    rows = [{**GOOD, "name": "a" * 200_000}]
    answer = await api.client.post("/invocations", content=as_csv(rows), headers=CSV)
    assert answer.status_code == 200
