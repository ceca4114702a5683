"""One registered version to one bundle directory.

The steps: fetch the version, choose a backend that is proved against the registered model, add the
outlier detector and the reference, seal the manifest, put the directory in its place.
"""

import logging
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bundling.backend import ChosenBackend, choose_backend
from bundling.config import ModelEntry, Registry
from bundling.integrity import check_integrity
from bundling.mlflow_door import opened
from bundling.outlier import CompiledOutlier, compile_outlier
from bundling.parity import TOLERANCE, WIDTHS, parity_batch
from bundling.reference import read_reference_rows, write_reference
from bundling.registry import FetchedModel, fetch
from bundling.source import ModelSource, read_source
from scoring.errors import BundleError
from scoring.manifest import (
    FORMAT,
    MANIFEST_NAME,
    ColumnSpec,
    Manifest,
    ParitySpec,
    ReasonsSpec,
    ReferenceSpec,
    bundle_files,
    encode_manifest,
    file_digest,
    sealed,
)
from scoring.model_loader import load_model
from scoring.schema import Schema

logger = logging.getLogger(__name__)


def package_model(
    entry: ModelEntry, registry: Registry, destination: Path, now: datetime
) -> Manifest:
    """Make the bundle of one configured model; replaces what stood at `destination` at the end.

    Takes seconds to minutes. Raises ConfigurationError, BundleError or ServiceUnavailable, and
    then leaves `destination` as it was.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    work = destination.parent / f".{destination.name}.{uuid.uuid4().hex}"
    work.mkdir()
    try:
        with opened(registry):
            manifest = _Packaging(entry, work, now).run(fetch(entry, work))
        _put_in_place(work, destination)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BundleError(
            f"cannot write the bundle below {destination.parent}: {reason}"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return manifest


@dataclass(frozen=True)
class _Packaging:
    entry: ModelEntry
    work: Path
    now: datetime

    def run(self, fetched: FetchedModel) -> Manifest:
        logger.info("fetched", extra={"model": fetched.name, "version": fetched.version})
        digest = check_integrity(fetched.directory, self.entry)
        source = read_source(fetched.directory, digest)
        schema = source.schema(self.entry)
        rows = self._known_rows(source)
        batch = parity_batch(schema, rows)
        if not len(batch):
            raise BundleError(
                "the model carries neither an input example nor a reference that fits its "
                "signature: log it with an input_example"
            )
        backend = choose_backend(source, schema, self.entry, batch, self.work)
        logger.info(
            "backend chosen",
            extra={
                "backend": backend.spec.kind,
                "max_difference": backend.max_difference,
                "call_width": backend.spec.call_width,
                "reason": backend.spec.reason,
            },
        )
        outlier = compile_outlier(source, schema, batch, self.work)
        first = self._manifest(fetched, source, schema, backend, outlier, None)
        self._write(first)
        if source.reference is None:
            return first
        records = write_reference(load_model(self.work, self.now), rows, self.work)
        reference = ReferenceSpec("reference/reference.parquet", records)
        final = self._manifest(fetched, source, schema, backend, outlier, reference)
        self._write(final)
        return final

    def _known_rows(self, source: ModelSource) -> list[dict[str, Any]]:
        if source.reference is not None:
            return read_reference_rows(source.reference)
        return [] if source.example is None else [source.example]

    def _manifest(
        self,
        fetched: FetchedModel,
        source: ModelSource,
        schema: Schema,
        backend: ChosenBackend,
        outlier: CompiledOutlier | None,
        reference: ReferenceSpec | None,
    ) -> Manifest:
        example = source.example
        return sealed(
            Manifest(
                format=FORMAT,
                digest="",
                name=fetched.name,
                version=fetched.version,
                alias=self.entry.alias,
                role=self.entry.role,
                run_id=fetched.run_id,
                source=fetched.source,
                source_digest=source.digest,
                created=self.now.isoformat(),
                inputs=[ColumnSpec(f.name, f.type.value, f.required) for f in schema.features],
                ignored_fields=list(self.entry.ignored_fields),
                example=None if example is None else _plain(example),
                output=backend.output,
                backend=backend.spec,
                outlier=None if outlier is None else outlier.spec,
                parity=ParitySpec(
                    records=backend.parity_records,
                    tolerance=TOLERANCE,
                    max_difference=backend.max_difference,
                    outlier_max_difference=None if outlier is None else outlier.max_difference,
                    widths=list(WIDTHS) if backend.spec.call_width is None else [],
                ),
                reasons=ReasonsSpec("none", "reasons are not computed for this model"),
                reference=reference,
                files={
                    name: file_digest(self.work / name)
                    for name in bundle_files(self.work)
                    if name != MANIFEST_NAME
                },
            )
        )

    def _write(self, manifest: Manifest) -> None:
        (self.work / MANIFEST_NAME).write_bytes(encode_manifest(manifest))


def _plain(example: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in example.items()}


def _put_in_place(work: Path, destination: Path) -> None:
    """Two renames, so that a reader sees the old bundle, for an instant none, or the new one."""
    previous = destination.with_name(f"{work.name}.previous")
    if destination.exists():
        destination.rename(previous)
    work.rename(destination)
    shutil.rmtree(previous, ignore_errors=True)
