"""Bodies that nobody means to send: never a fault of the server, and no value comes back."""

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from online_api.context import Limits
from online_api.problems import MAX_NAME_CHARACTERS
from scoring.model import ModelBundle
from tests.support.online import GOOD, JSON, Api, open_api
from tests.support.protocols import (
    CSV,
    as_binary,
    as_csv,
    column_tensors,
    mlflow_forms,
    tensor,
    text_matrix,
)
from tests.support.toy import load_toy

TEXT_SECRET = "zq-hunter2-zq"
NAME_SECRET = "y" * MAX_NAME_CHARACTERS + TEXT_SECRET
"""Of a name no more than its first characters may come back."""

NUMBER_SECRET = 918273645546
INFER = "/v2/models/toy/infer"
Ask = Callable[[str, bytes, dict[str, str]], httpx.Response]

HOSTILE: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(TEXT_SECRET, f"{NAME_SECRET}\ud83d\ude00\u0000", NUMBER_SECRET, -NUMBER_SECRET / 8),
        *([NAME_SECRET], [[NUMBER_SECRET]], {"x": TEXT_SECRET}, {}, [], [[]], [{}]),
        *(None, True, False, "", 0, -1, 2**31, 2**63, 2**64, 10**400, 1e39, 1e308, -0.0, 0.5),
        *(float("nan"), float("inf"), float("-inf")),
        *("FP64", "BYTES", "BOOL", "INT8", "UINT64", "name", "x", "score", "record_id", "reasons"),
    ]
).map(copy.deepcopy)
NAMES = list(GOOD)
ROWS = [GOOD, {**GOOD, "name": "junior"}]
PREDICT_BODIES = [ROWS, {"records": ROWS, "event_time": "2026-03-02T12:00:00Z"}]
MLFLOW_BODIES = [{**body, "params": {"reasons": 0}} for body in mlflow_forms(ROWS).values()]
INFER_BODIES = [
    {
        "id": "a",
        "inputs": column_tensors(ROWS),
        "outputs": [{"name": "score", "parameters": {"binary_data": True}}],
        "parameters": {"binary_data_output": False},
    },
    {"inputs": [text_matrix(ROWS), tensor("record_id", [1, 2], "INT64")], "outputs": []},
]
BODIES = [
    *(("/predict", body) for body in PREDICT_BODIES),
    *(("/invocations", body) for body in MLFLOW_BODIES),
    *((INFER, body) for body in INFER_BODIES),
]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture(scope="module")
def ask(toy: ModelBundle) -> Iterator[Ask]:
    """One app for all examples, which looks at every answer and every line of the log."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        limits = Limits(max_records=50, max_body_bytes=100_000)
        api: Api = runner.run(stack.enter_async_context(open_api(toy, limits)))

        async def send(path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
            return await api.client.post(path, content=body, headers=headers)

        def checked(path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
            answer = runner.run(send(path, body, headers))
            assert answer.status_code < 500, answer.text
            if answer.status_code != 200:
                document = answer.json()
                assert document["detail"]
                for secret in (TEXT_SECRET, str(NUMBER_SECRET)):
                    assert secret not in answer.text
            lines = b"".join(api.lines)
            api.lines.clear()
            assert TEXT_SECRET.encode() not in lines
            assert str(NUMBER_SECRET).encode() not in lines
            return answer

        yield checked
        runner.run(stack.aclose())


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and the key or index of every value in it."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield document, key
        yield from places(value)


def names_in(body: Any) -> Any:
    """The columns' names in a body that has such a list."""
    table = body.get("dataframe_split") if isinstance(body, dict) else None
    return table.get("columns") if isinstance(table, dict) else None


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Any]:
    """A good body in which a few values are replaced, doubled or removed."""
    path, body = draw(st.sampled_from(BODIES))
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(0, 3))):
        found = list(places(body))
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        change = draw(st.sampled_from(["replace", "replace", "replace", "remove", "double"]))
        if change == "replace":
            value = draw(HOSTILE)
            is_name = key == "name" or container is names_in(body)
            container[key] = NAME_SECRET if is_name and value == TEXT_SECRET else value
        elif change == "remove":
            del container[key]
        elif isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        else:
            container[draw(st.sampled_from(["extra", "record_id", "n", ""]))] = container[key]
    return path, body


def encoded(document: Any) -> bytes:
    """As Python writes JSON, with what is none; text that is no UTF-8 is left out."""
    return json.dumps(document).encode("utf-8", "ignore")


FUZZ = settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(request=spoiled())
def test_spoiled_documents(ask: Ask, request: tuple[str, Any]) -> None:
    """JSON of nearly the right form."""
    path, body = request
    ask(path, encoded(body), JSON)


@FUZZ
@given(request=spoiled(), cuts=st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=8))))
def test_spoiled_bytes(ask: Ask, request: tuple[str, Any], cuts: list[tuple[int, bytes]]) -> None:
    """Text that is hardly JSON any more. What was a value may have become a name in it."""
    path, body = request
    text = encoded(body).replace(NAME_SECRET.encode(), b"").replace(TEXT_SECRET.encode(), b"")
    ask(path, overwritten(text, cuts), JSON)


def overwritten(data: bytes, cuts: list[tuple[int, bytes]]) -> bytes:
    """Other bytes at some places, or the end cut off where they are none."""
    for place, piece in cuts:
        start = place % (len(data) + 1)
        data = data[:start] + piece + data[start + len(piece) :] if piece else data[:start]
    return data


@FUZZ
@given(
    path=st.sampled_from(["/predict", "/invocations", INFER]),
    body=st.binary(max_size=200) | st.sampled_from([b"[" * 50_000, b'{"a":' * 20_000]),
    kind=st.sampled_from([JSON, CSV, {}, {"content-type": "x"}, {"content-type": "\xff;=;"}]),
)
def test_any_bytes(ask: Ask, path: str, body: bytes, kind: dict[str, str]) -> None:
    """Under any name of what they are."""
    ask(path, body, {k: v for k, v in kind.items() if v.isascii()})


CELLS = st.one_of(
    st.sampled_from(
        [
            *(TEXT_SECRET, str(NUMBER_SECRET), f'"{TEXT_SECRET}', f'{TEXT_SECRET}"', '""', '"'),
            *("", "1.5", "3", "true", "senior", "nan", "x", "n", "flag", "name", "record_id"),
            *("\ufeff", "\x00", "\r", "9" * 5000, "1e999", "comment"),
        ]
    ),
    st.text(max_size=5),
)


@FUZZ
@given(
    rows=st.lists(st.lists(CELLS, max_size=6), max_size=5),
    header=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_spoiled_csv(ask: Ask, rows: list[list[str]], header: bool, end: str) -> None:
    """With the right header or any other, of which the names may come back."""
    lines = [*([NAMES] if header else []), *rows]
    text = end.join(",".join(cells) for cells in lines)
    if not header:
        text = text.replace(TEXT_SECRET, NAME_SECRET).replace(str(NUMBER_SECRET), "4")
    ask("/invocations", text.encode("utf-8", "surrogatepass"), CSV)


@FUZZ
@given(
    cuts=st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=4)), max_size=3),
    size=st.none() | st.integers(-1, 2000).map(str) | st.sampled_from(["", "x", "9" * 30]),
    members=st.fixed_dictionaries(
        {}, optional={"parameters": st.just({"binary_data_output": True}), "id": HOSTILE}
    ),
)
def test_spoiled_binary_tensors(
    ask: Ask, cuts: list[tuple[int, bytes]], size: str | None, members: dict[str, Any]
) -> None:
    """Bytes that are not what the JSON says of them."""
    body, headers = as_binary([*column_tensors(ROWS)], **members)
    if size is not None:
        headers = {"inference-header-content-length": size}
    ask(INFER, overwritten(body, cuts), headers)


def test_what_is_fuzzed_is_good_before(ask: Ask) -> None:
    """Otherwise the first error would hide all others."""
    for path, body in BODIES:
        assert ask(path, encoded(body), JSON).status_code == 200
    assert ask("/invocations", as_csv(ROWS), CSV).status_code == 200
    assert ask(INFER, *as_binary(column_tensors(ROWS))).status_code == 200
