"""What operations have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from online_api.access.caller import Role
from online_api.context import Limits
from online_api.openapi.failures import READING, REFUSING, SCORING, failures, shown_failure
from online_api.openapi.guards import Guards, required
from online_api.openapi.pieces import ref
from online_api.reasons import REASONS
from scoring.json_schema import WHOLE, Piece
from scoring.model import ModelBundle

REQUEST_ID: Final = ref("X-Request-ID", "parameters")


class Head(NamedTuple):
    """How an operation is called: its id, its group, a line, and the rest in words."""

    id: str
    tag: str
    summary: str
    description: str = ""

    def piece(self, *parameters: Piece) -> Piece:
        """The first members of the operation."""
        found: Piece = {"operationId": self.id, "tags": [self.tag], "summary": self.summary}
        if self.description:
            found["description"] = self.description
        return {**found, "parameters": [*parameters, REQUEST_ID]}


@dataclass(frozen=True, slots=True)
class Operations:
    """Makes operations that differ in what they take and give."""

    limits: Limits
    guards: Guards | None

    def scores(
        self,
        head: Head,
        body: Mapping[str, Any],
        success: Piece,
        *parameters: Piece,
        problem: Mapping[str, Any] | None = None,
        is_named: bool = False,
    ) -> Piece:
        """`POST` of records: `body` by media type. `problem` has examples of the 422.

        A model that `is_named` in the path may be gone when the path is used.
        """
        guarded = self.guards is not None
        statuses = {*SCORING, *([404] if is_named else []), *(REFUSING if guarded else [])} - {422}
        responses = {"200": success, **failures(statuses), **shown_failure(422, problem)}
        return {
            **head.piece(*parameters),
            "requestBody": {"required": True, "content": dict(body)},
            "responses": dict(sorted(responses.items())),
            **required("score" if guarded else None),
        }

    def shows(
        self,
        head: Head,
        success: Piece,
        *parameters: Piece,
        role: Role | None = None,
        failing: Sequence[int] = READING,
    ) -> Piece:
        """`GET`; one with parameters may be asked for what there is not."""
        statuses = {*failing, *([404] if parameters else []), *(REFUSING if role else [])}
        return {
            **head.piece(*parameters),
            "responses": {"200": success, **failures(statuses)},
            **required(role),
        }

    def sizes(self) -> str:
        """How large a request may be."""
        return (
            f"At most {self.limits.max_records:,} records in {self.limits.max_body_bytes:,} bytes."
        )

    @property
    def metrics_role(self) -> Role | None:
        """Which role the metrics ask for."""
        return None if self.guards is None else self.guards.metrics

    @property
    def model_role(self) -> Role | None:
        """Which role the documents about models ask for."""
        return None if self.guards is None else self.guards.model


def reasons_parameter(model: ModelBundle) -> Piece:
    """`?reasons=K`."""
    words = "How many reasons each score gets: the features that moved it most, strongest first."
    if model.explainer is None:
        words += f" This model gives none: {model.no_reasons}."
    return {
        "name": REASONS,
        "in": "query",
        "required": False,
        "description": words,
        "schema": reasons_count(model),
    }


def reasons_count(model: ModelBundle) -> Piece:
    """How many reasons may be asked of a model."""
    count = {**WHOLE, "minimum": 0}
    return count if model.explainer is not None else {**count, "maximum": 0}


def request_id_parameter() -> Piece:
    """`X-Request-ID`. Its form is in words only, as a value of another form is no error."""
    return {
        "name": "X-Request-ID",
        "in": "header",
        "required": False,
        "description": "1 to 128 of `A-Z a-z 0-9 . _ : -`. It comes back in the answer and stands "
        "in the log. Absent or of another form: the server makes one up.",
        "schema": {"type": "string"},
    }
