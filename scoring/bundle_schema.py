"""The schema of a bundle's model, for those who read the manifest and never load the model."""

from collections.abc import Mapping
from typing import Any

from scoring.manifest import Manifest
from scoring.schema import Schema


def manifest_schema(manifest: Manifest) -> Schema:
    """The schema of the bundle's model. Raises BundleError naming a column that is no scalar."""
    columns: list[Mapping[str, Any]] = [
        {"name": c.name, "type": c.type, "required": c.required} for c in manifest.inputs
    ]
    return Schema.from_signature(columns, manifest.ignored_fields, manifest.example)
