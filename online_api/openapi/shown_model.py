"""A served model as the document shows it: its name in paths and components, and its schemas."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from online_api.openapi.examples import Example, example_of
from online_api.openapi.pieces import ref
from online_api.openapi.predictions import prediction
from online_api.openapi.records import columns, record, row
from online_api.served import Models
from scoring.json_schema import Piece
from scoring.model import ModelBundle


@dataclass(frozen=True, slots=True)
class ShownModel:
    """A model; `key` begins the names of its components and is no other model's."""

    model: ModelBundle
    key: str
    is_default: bool
    example: Example | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.model.version.name

    @property
    def in_path(self) -> str:
        """Its name as a part of a path."""
        return quote(self.name, safe="")

    @property
    def version_in_path(self) -> str:
        """Its version as a part of a path."""
        return quote(self.model.version.version, safe="")

    def ref(self, kind: str) -> Piece:
        """A reference to one of its schemas."""
        return ref(f"{self.key}_{kind}")

    def schemas(self, most: int) -> Piece:
        """Its own components; a request holds at most so many records."""
        schema = self.model.schema
        kinds = {
            "Record": record(schema),
            "Row": row(schema),
            "Columns": columns(schema, most),
            "Prediction": prediction(self.model),
        }
        return {f"{self.key}_{kind}": piece for kind, piece in kinds.items()}


def shown_models(models: Models) -> list[ShownModel]:
    """Every model, the default first."""
    ordered = [models.default, *models.challengers]
    keys = _keys(one.model.version.name for one in ordered)
    return [
        ShownModel(one.model, key, one is models.default, example_of(one.model))
        for one, key in zip(ordered, keys, strict=True)
    ]


def _keys(names: Iterable[str]) -> list[str]:
    """The names in the letters that components may have, each once."""
    found: list[str] = []
    for name in names:
        key = re.sub(r"[^A-Za-z0-9.-]", "_", name)
        while key in found:
            key += "_"
        found.append(key)
    return found
