"""What a bundle says of its model, for those who read the manifest and never load the model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scoring.manifest import Manifest, read_manifest
from scoring.model import ModelDescription
from scoring.schema import Schema


def manifest_schema(manifest: Manifest) -> Schema:
    """The schema of the bundle's model. Raises BundleError naming a column that is no scalar."""
    columns: list[Mapping[str, Any]] = [
        {"name": c.name, "type": c.type, "required": c.required} for c in manifest.inputs
    ]
    return Schema.from_signature(columns, manifest.ignored_fields, manifest.example)


def describe_bundle(bundle: Path) -> ModelDescription:
    """The bundle's model, unloaded; of the bundle only the manifest is read and checked.

    Raises BundleError.
    """
    manifest = read_manifest(bundle)
    return ModelDescription(manifest, manifest_schema(manifest))
