"""What a rejection code means, in words for whoever has to repair the input."""

from collections.abc import Mapping
from typing import Final

from scoring.records import RejectionCode

MEANINGS: Final[Mapping[str, str]] = {
    RejectionCode.MALFORMED: (
        "The row is no record: no JSON object, not in the file's encoding, another number of cells "
        "than the header, or a quote left open."
    ),
    RejectionCode.TOO_LARGE: "The row is longer than 1 MiB as text.",
    RejectionCode.INVALID_RECORD_ID: (
        "No record id, or none of the allowed form: an integer, or text of 1 to 256 characters."
    ),
    RejectionCode.MISSING_FIELD: (
        "A field the model needs is absent. A missing column does that to every row."
    ),
    RejectionCode.UNKNOWN_FIELD: (
        "A field the model does not know. A column too many does that to every row; one that is "
        "not needed can be named in ignored_fields of config/models.json."
    ),
    RejectionCode.NULL_VALUE: "A null or an empty cell where the model needs a value.",
    RejectionCode.WRONG_TYPE: "A value of another type than the model's signature says.",
    RejectionCode.OUT_OF_RANGE: "A number or time that the model's type cannot hold.",
    RejectionCode.NOT_FINITE: "NaN or infinity where the model needs a number.",
    RejectionCode.REQUEST_REJECTED: "The record was valid, but refused together with others.",
    RejectionCode.MODEL_ERROR: "The record was valid, but the model gave no usable result for it.",
}


def meaning(code: str) -> str:
    """In a sentence or two; empty for a code of another version."""
    return MEANINGS.get(code, "")
