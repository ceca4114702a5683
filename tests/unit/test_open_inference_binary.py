"""The binary tensor data extension: bytes after the JSON, in and out."""

import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from scoring.model import ModelBundle
from tests.support.online import GOOD, SECRET, Api, open_api, problem
from tests.support.protocols import as_binary, column_tensors, tensor, text_matrix
from tests.support.toy import load_toy, records

INFER = "/v2/models/toy/infer"
ALL = {"binary_data_output": True}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
async def api(toy: ModelBundle) -> AsyncIterator[Api]:
    """The API over the toy model."""
    async with open_api(toy) as opened:
        yield opened


async def outputs(api: Api, body: bytes, headers: dict[str, str]) -> Any:
    """The outputs of an answer that is all JSON."""
    answer = await api.client.post(INFER, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


async def test_bytes_are_read_like_json(api: Api) -> None:
    """A tensor for each field, one for all, and some of each kind: the same bits."""
    rows = records(20)
    plain, _ = as_binary([])
    assert plain == b'{"inputs": []}'
    body = json.dumps({"inputs": column_tensors(rows)}).encode()
    expected = await outputs(api, body, {})
    assert await outputs(api, *as_binary(column_tensors(rows))) == expected
    assert await outputs(api, *as_binary([text_matrix(rows)])) == expected
    one, *rest = column_tensors(rows)
    text, headers = as_binary(rest)
    size = int(headers["inference-header-content-length"])
    document = json.loads(text[:size])
    head = json.dumps({"inputs": [one, *document["inputs"]]}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    assert await outputs(api, head + text[size:], headers) == expected


@pytest.mark.parametrize(
    "datatype", ["INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "UINT64", "FP32", "FP64"]
)
async def test_every_width_of_a_number(api: Api, datatype: str) -> None:
    """Little-endian, at any offset in the body."""
    expected = await outputs(api, *as_binary(column_tensors([GOOD])))
    tensors = [t for t in column_tensors([GOOD]) if t["name"] != "n"]
    body = as_binary([*tensors, tensor("n", [3], datatype)])
    assert await outputs(api, *body) == expected


async def test_outputs_as_bytes(api: Api) -> None:
    """After the JSON in its order, each with its size, the same values as in JSON."""
    rows = records(7)
    body = {"inputs": column_tensors(rows)}
    expected = {o["name"]: o for o in (await api.client.post(INFER, json=body)).json()["outputs"]}
    answer = await api.client.post(INFER, json={**body, "parameters": ALL, "id": "a"})
    assert answer.headers["content-type"] == "application/octet-stream"
    size = int(answer.headers["inference-header-content-length"])
    document, rest = json.loads(answer.content[:size]), answer.content[size:]
    assert document["id"] == "a"
    for output in document["outputs"]:
        length = output["parameters"]["binary_data_size"]
        chunk, rest = rest[:length], rest[length:]
        wanted = expected[output["name"]]
        assert "data" not in output
        assert (output["datatype"], output["shape"]) == (wanted["datatype"], [7])
        assert unpacked(chunk, output["datatype"]) == wanted["data"]
    assert rest == b""


def unpacked(chunk: bytes, datatype: str) -> list[Any]:
    """The values in an output's bytes."""
    if datatype == "BYTES":
        found = []
        while chunk:
            (size,) = struct.unpack_from("<I", chunk)
            found.append(chunk[4 : 4 + size].decode())
            chunk = chunk[4 + size :]
        return found
    dtypes = {"FP64": np.dtype("<f8"), "BOOL": np.dtype("?")}
    values: list[Any] = np.frombuffer(chunk, dtypes[datatype]).tolist()
    return values


async def test_each_output_may_be_of_its_own_kind(api: Api) -> None:
    """What it says of itself counts before what the request says of all."""
    wanted = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "score"}]
    body = {"inputs": column_tensors([GOOD]), "outputs": wanted, "parameters": ALL}
    answer = await api.client.post(INFER, json=body)
    size = int(answer.headers["inference-header-content-length"])
    label, score = json.loads(answer.content[:size])["outputs"]
    assert label["data"] == ["Yes"]
    assert score["parameters"] == {"binary_data_size": 8}
    assert len(answer.content) == size + 8


async def test_octets_are_a_kind_of_body_when_they_say_where_the_json_ends(api: Api) -> None:
    """As the extension's documents have it."""
    body, headers = as_binary(column_tensors([GOOD]))
    answer = await api.client.post(
        INFER, content=body, headers={**headers, "content-type": "application/octet-stream"}
    )
    assert answer.status_code == 200


GOOD_X = {"name": "x", "shape": [1], "datatype": "FP64"}
GOOD_NAME = {"name": "name", "shape": [1], "datatype": "BYTES"}
ONE = struct.pack("<I", 1)


@pytest.mark.parametrize(
    ("head", "size", "rest", "detail"),
    [
        (GOOD_X, 8, b"1234567", "inputs[0]: binary_data_size must be a number of bytes that"),
        (GOOD_X, -1, b"", "inputs[0]: binary_data_size must be a number of bytes that"),
        (GOOD_X, "8", b"12345678", "inputs[0]: binary_data_size must be a number of bytes that"),
        (GOOD_X, True, b"1", "inputs[0]: binary_data_size must be a number of bytes that"),
        (GOOD_X, 8, b"123456789", "the bytes after the JSON must all belong to an input"),
        (GOOD_X, 7, b"1234567", "must have as many bytes as its shape and datatype say"),
        ({**GOOD_X, "shape": [2]}, 8, b"12345678", "must have as many bytes as its shape"),
        ({**GOOD_X, "datatype": "BOOL"}, 1, b"\x02", "must hold bytes that are 0 or 1"),
        (GOOD_NAME, 3, b"123", "must have as many elements as its shape says, each after its"),
        (GOOD_NAME, 0, b"", "must have as many elements as its shape says, each after its"),
        (GOOD_NAME, 4, ONE, "must have as many elements as its shape says, each after its"),
        (GOOD_NAME, 6, ONE + b"ab", "must have as many elements as its shape says, each after"),
        (GOOD_NAME, 10, (ONE + b"a") * 2, "must have as many elements as its shape says, each"),
        (GOOD_NAME, 5, ONE + b"\xff", "must hold text in UTF-8, as its datatype is BYTES"),
    ],
)
async def test_bytes_that_do_not_fit_are_refused(
    api: Api, head: dict[str, Any], size: Any, rest: bytes, detail: str
) -> None:
    """400 with the input and the rule."""
    document = {"inputs": [{**head, "parameters": {"binary_data_size": size}}]}
    text = json.dumps(document).encode()
    headers = {"inference-header-content-length": str(len(text))}
    answer = await api.client.post(INFER, content=text + rest, headers=headers)
    assert detail in problem(answer, 400, "malformed-request")["detail"]


@pytest.mark.parametrize(
    ("length", "detail"),
    [
        (SECRET, "must be a number of bytes"),
        ("-1", "must be a number of bytes"),
        ("", "must be a number of bytes"),
        ("9" * 5000, "must not exceed the body's length"),
        ("100000", "must not exceed the body's length"),
        ("0", "the body is not JSON"),
        ("10", "the body is not JSON"),
    ],
)
async def test_a_wrong_length_of_the_json_is_refused(api: Api, length: str, detail: str) -> None:
    """Without repeating it."""
    body, _ = as_binary(column_tensors([GOOD]))
    headers = {"inference-header-content-length": length}
    answer = await api.client.post(INFER, content=body, headers=headers)
    assert detail in problem(answer, 400, "malformed-request")["detail"]
    assert SECRET not in answer.text


async def test_shared_memory_is_refused(api: Api) -> None:
    """By the name of its parameter."""
    head = {**GOOD_X, "parameters": {"shared_memory_region": SECRET}}
    answer = await api.client.post(INFER, json={"inputs": [head]})
    detail = problem(answer, 400, "invalid-parameter")["detail"]
    assert detail == "inputs[0] has no parameter 'shared_memory_region' here"
