"""A model's own example record, and what the model makes of it, in the form of each protocol.

Answers are computed, not written down: they are what a caller will see.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from online_api.openapi.pieces import REQUEST_ID
from online_api.problems import INVALID_RECORDS, ProblemError, problem_response
from online_api.protocols.open_inference import model_metadata
from online_api.protocols.open_inference_outputs import WantedOutputs
from online_api.protocols.open_inference_request import InferRequest
from scoring.model import ModelBundle
from scoring.model_example import model_example
from scoring.predictions import RECORD_ID
from scoring.records import RecordBatch, ScoredBatch
from scoring.score import score
from scoring.validation import validate_rows

EVENT_TIME: Final = "2026-01-31T12:00:00Z"
_ID: Final = "record-1"


@dataclass(frozen=True, slots=True)
class Example:
    """A record, and its scores where the model is compiled and does not fail on it."""

    model: ModelBundle
    record: Mapping[str, Any]
    scored: ScoredBatch | None

    @property
    def identified(self) -> dict[str, Any]:
        """The record with an id, unless the model has a field of that name."""
        own = RECORD_ID in self.model.schema.names
        return dict(self.record) if own else {RECORD_ID: _ID, **self.record}

    def predictions(self) -> dict[str, Any] | None:
        """What `/predict` answers."""
        if self.scored is None:
            return None
        version = self.model.version
        return {
            "request_id": REQUEST_ID,
            "model": {"name": version.name, "version": version.version},
            "predictions": self.scored.predictions(),
        }

    def bare_predictions(self) -> dict[str, Any] | None:
        """What `/invocations` answers."""
        if self.scored is None:
            return None
        (row,) = self.scored.predictions()
        del row[RECORD_ID]
        return {"predictions": [row if len(row) > 1 else next(iter(row.values()))]}

    def problem(self) -> Any:
        """What `/predict` answers when the first field that must be there is not."""
        names = [f.name for f in self.model.schema.features if f.required and f.name in self.record]
        if not names:
            return None
        rest = {name: value for name, value in self.record.items() if name != names[0]}
        rejections = validate_rows(self.model.schema, [rest], [_ID]).rejections
        error = ProblemError(INVALID_RECORDS, "1 of 1 records were rejected", rejections)
        return msgspec.json.decode(bytes(problem_response(error, REQUEST_ID).body))

    def csv_text(self) -> str:
        """A header and the record."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.record)
        writer.writerow([_cell(value) for value in self.record.values()])
        return text.getvalue()

    def tensors(self) -> list[dict[str, Any]]:
        """A tensor for each field."""
        kinds = {one["name"]: one["datatype"] for one in model_metadata(self.model)["inputs"]}
        return [
            {"name": name, "shape": [1], "datatype": kinds[name], "data": [self.record[name]]}
            for name in self.model.schema.names
            if name in self.record
        ]

    def inference(self) -> Any:
        """What `/v2/models/…/infer` answers."""
        if self.scored is None:
            return None
        request = InferRequest(inputs=[], id=REQUEST_ID)
        answer = WantedOutputs(request, self.model, 0).answer(self.scored)
        return msgspec.json.decode(answer.body)


def example_of(model: ModelBundle) -> Example | None:
    """The bundle's example; None when it has none, or one that its own schema refuses."""
    found = model_example(model.schema, _ID)
    if found is None:
        return None
    return Example(model, found.record, _scored(model, found.batch))


def _scored(model: ModelBundle, batch: RecordBatch) -> ScoredBatch | None:
    if model.manifest.backend.kind != "onnx":
        return None  # its calls belong to one thread, which is not this one
    try:
        return score(model, batch)
    except Exception:  # a model may raise anything, and a start does not fail for an example
        return None


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()
