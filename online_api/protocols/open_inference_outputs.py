"""Scores as output tensors of the Open Inference Protocol, one per output, shape [records]."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from online_api.call import Answer
from online_api.problems import INVALID_PARAMETER, MALFORMED, ProblemError
from online_api.protocols.open_inference_request import (
    BINARY_DATA,
    BINARY_DATA_OUTPUT,
    BINARY_DATA_SIZE,
    InferRequest,
    shown,
)
from online_api.protocols.open_inference_tensors import BYTES, write_binary_data
from online_api.reasons import REASONS
from scoring.model import ModelDescription
from scoring.records import Column, ScoredBatch

OUTPUT_DATATYPES: Final[Mapping[str, str]] = {
    "double": "FP64",
    "long": "INT64",
    "boolean": "BOOL",
    "string": BYTES,
}
"""By `OutputColumn.type`."""

_OCTETS: Final = b"application/octet-stream"
_ENCODER: Final = msgspec.json.Encoder()


def output_datatypes(model: ModelDescription) -> dict[str, str]:
    """The datatypes of what the model answers without being asked for more, in order."""
    found = {column.name: OUTPUT_DATATYPES[column.type] for column in model.output_columns}
    if model.manifest.outlier is not None:
        found |= {"outlier": "BOOL", "outlier_score": "FP64"}
    return found


class WantedOutputs:
    """Which outputs a request wants, in its order, and which of them as bytes."""

    def __init__(self, request: InferRequest, model: ModelDescription, reasons: int) -> None:
        """All outputs when it names none. Raises ProblemError."""
        self._request = request
        self._model = model
        self._datatypes = output_datatypes(model)
        if reasons:
            self._datatypes[REASONS] = BYTES
        binary = _flag(request.parameters, BINARY_DATA_OUTPUT, False, "the request")
        self._binary: dict[str, bool] = {}
        if not request.outputs:
            self._binary = dict.fromkeys(self._datatypes, binary)
        for place, output in enumerate(request.outputs or ()):
            where = f"outputs[{place}]"
            if output.name not in self._datatypes:
                names = ", ".join(self._datatypes)
                raise ProblemError(
                    MALFORMED, f"{where} {shown(output.name)} must be one of {names}"
                )
            if output.name in self._binary:
                raise ProblemError(MALFORMED, f"{where} must not be named twice")
            self._binary[output.name] = _flag(output.parameters, BINARY_DATA, binary, where)

    def answer(self, scored: ScoredBatch) -> Answer:
        """The response: JSON, and after it the bytes of the outputs that are wanted as bytes."""
        columns = _columns(scored)
        outputs: list[dict[str, Any]] = []
        chunks: list[bytes] = []
        for name, is_binary in self._binary.items():
            values, datatype = columns[name], self._datatypes[name]
            output: dict[str, Any] = {"name": name, "shape": [len(scored)], "datatype": datatype}
            if is_binary:
                chunks.append(write_binary_data(values, datatype))
                output["parameters"] = {BINARY_DATA_SIZE: len(chunks[-1])}
            else:
                output["data"] = values.tolist()
            outputs.append(output)
        version = self._model.version
        document: dict[str, Any] = {"model_name": version.name, "model_version": version.version}
        if self._request.id is not None:
            document["id"] = self._request.id
        head = _ENCODER.encode(document | {"outputs": outputs})
        if not chunks:
            return Answer(head)
        length = (b"inference-header-content-length", b"%d" % len(head))
        return Answer(b"".join([head, *chunks]), media_type=_OCTETS, headers=[length])


def _columns(scored: ScoredBatch) -> dict[str, Column]:
    columns = dict(scored.outputs)
    if scored.outliers is not None and scored.outlier_scores is not None:
        columns |= {"outlier": scored.outliers, "outlier_score": scored.outlier_scores}
    if scored.reasons is not None:
        texts = [_ENCODER.encode(found).decode() for found in scored.reasons.as_lists()]
        columns[REASONS] = np.array(texts, dtype=object)
    return columns


def _flag(given: Mapping[str, Any] | None, name: str, default: bool, place: str) -> bool:
    value = (given or {}).get(name, default)
    if not isinstance(value, bool):
        raise ProblemError(INVALID_PARAMETER, f"{place}: the parameter '{name}' must be a boolean")
    return value
