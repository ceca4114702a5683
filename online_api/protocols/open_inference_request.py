"""The body of an inference request of the Open Inference Protocol, version 2.

JSON alone, or JSON and after it the bytes of tensors (the binary tensor data extension). Source:
github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from online_api.problems import MALFORMED, MAX_NAME_CHARACTERS, ProblemError
from online_api.protocols.protocol_parameters import require_parameters
from online_api.reasons import REASONS
from scoring.json_text import NotJsonError, decode_json

BINARY_DATA: Final = "binary_data"
BINARY_DATA_OUTPUT: Final = "binary_data_output"
BINARY_DATA_SIZE: Final = "binary_data_size"
_HINT: Final = "content_type"
"""How MLServer's clients say what a tensor stands for; the signature says it here."""

_PARAMETERS: Final = frozenset({REASONS, BINARY_DATA_OUTPUT, _HINT})
_INPUT_PARAMETERS: Final = frozenset({BINARY_DATA_SIZE, _HINT})
_OUTPUT_PARAMETERS: Final = frozenset({BINARY_DATA, _HINT})

Parameters = dict[str, Any]


class InputTensor(msgspec.Struct, frozen=True):
    """An input. `data` is absent when its bytes follow the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: Any = msgspec.UNSET


class WantedOutput(msgspec.Struct, frozen=True):
    """An output that is asked for."""

    name: str
    parameters: Parameters | None = None


class InferRequest(msgspec.Struct, frozen=True):
    """A request. What some clients put into the body although the path has it is not read."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[WantedOutput] | None = None
    model_name: Any = None
    model_version: Any = None


class InferBody(NamedTuple):
    """A request, and the bytes of each input that has none in the JSON, by position."""

    request: InferRequest
    binary: Mapping[int, memoryview]


def read_infer_body(body: bytes, json_length: str | None) -> InferBody:
    """The request in a body, of which the first `json_length` bytes are JSON, all when None.

    Every name and parameter in it is known, and every input has data. Raises ProblemError.
    """
    size = len(body)
    if json_length is not None:
        if not (json_length.isascii() and json_length.isdecimal()):
            raise _malformed("Inference-Header-Content-Length must be a number of bytes")
        size = int(json_length[:20])
        if size > len(body):
            raise _malformed("Inference-Header-Content-Length must not exceed the body's length")
    request = _request(body[:size])
    return InferBody(request, _binary(request, memoryview(body)[size:]))


def shown(name: str) -> str:
    """A caller's name as errors show it."""
    return f"'{name[:MAX_NAME_CHARACTERS]}'"


def _request(data: bytes) -> InferRequest:
    try:
        document = decode_json(data)
    except NotJsonError as error:
        raise _malformed(f"the body {error}") from None
    try:
        request = msgspec.convert(document, InferRequest)
    except msgspec.ValidationError as error:  # its text has a path and a type, never a value
        raise _malformed(f"the body is no inference request: {error}") from None
    _require_members(document, InferRequest, "the body")
    require_parameters(request.parameters or {}, _PARAMETERS, "the request")
    for place, tensor in enumerate(request.inputs):
        _require_members(document["inputs"][place], InputTensor, f"inputs[{place}]")
        require_parameters(tensor.parameters or {}, _INPUT_PARAMETERS, f"inputs[{place}]")
    for place, output in enumerate(request.outputs or ()):
        _require_members(document["outputs"][place], WantedOutput, f"outputs[{place}]")
        require_parameters(output.parameters or {}, _OUTPUT_PARAMETERS, f"outputs[{place}]")
    return request


def _require_members(document: Mapping[str, Any], kind: type[msgspec.Struct], place: str) -> None:
    for name in sorted(document.keys() - kind.__struct_fields__):
        raise _malformed(f"{place} has an unknown member {shown(name)}")


def _binary(request: InferRequest, data: memoryview) -> dict[int, memoryview]:
    found: dict[int, memoryview] = {}
    start = 0
    for place, tensor in enumerate(request.inputs):
        size = (tensor.parameters or {}).get(BINARY_DATA_SIZE)
        if (size is None) == (tensor.data is msgspec.UNSET):
            raise _malformed(f"inputs[{place}] must have either data or {BINARY_DATA_SIZE}")
        if size is None:
            continue
        is_count = isinstance(size, int) and not isinstance(size, bool)
        if not is_count or not 0 <= size <= len(data) - start:
            rule = "must be a number of bytes that follow the JSON"
            raise _malformed(f"inputs[{place}]: {BINARY_DATA_SIZE} {rule}")
        found[place] = data[start : start + size]
        start += size
    if start != len(data):
        raise _malformed("the bytes after the JSON must all belong to an input")
    return found


def _malformed(detail: str) -> ProblemError:
    return ProblemError(MALFORMED, detail)
