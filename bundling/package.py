"""One registered version to one bundle directory.

The steps: fetch the version, choose a backend that is proved against the registered model, add the
outlier detector and the reference, seal the manifest, put the directory in its place.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bundling.backend import ChosenBackend, choose_backend
from bundling.config import ModelEntry, Registry
from bundling.current import is_current
from bundling.integrity import check_integrity
from bundling.mlflow_door import opened, translated
from bundling.outlier import CompiledOutlier, compile_outlier
from bundling.parity.proof import TOLERANCE, WIDTHS, parity_batch
from bundling.place import replacing
from bundling.reasons.choice import prepare_reasons
from bundling.reference import read_reference_rows, write_reference
from bundling.registry import MODEL, RegisteredVersion, download, resolve
from bundling.source import ModelSource, loading_failure, read_source
from scoring.backends import open_backend
from scoring.errors import BundleError, ModelError, TrilaneError
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
from scoring.records import RecordBatch
from scoring.schema import Schema
from scoring.validation import validate_rows

logger = logging.getLogger(__name__)


def package_model(
    entry: ModelEntry, registry: Registry, destination: Path, now: datetime, *, force: bool
) -> bool:
    """Make the bundle of one configured model; replaces what stood at `destination` at the end.

    False if the version that the entry names, now, is what stands there already, unless `force`.
    Needs `bundling.place.held`. Takes seconds to minutes. Raises ConfigurationError, BundleError or
    ServiceUnavailable, and then leaves `destination` as it was.
    """
    with _naming(entry), opened(registry):
        found = resolve(entry)
        if not force and is_current(destination, entry, found.version):
            return False
        with replacing(destination) as work:
            with translated(registry):
                download(found, work)
            _Packaging(entry, found, work, now).run()
    return True


@contextmanager
def _naming(entry: ModelEntry) -> Iterator[None]:
    """Errors of the body say which of the configured models they are about."""
    try:
        yield
    except TrilaneError as error:
        if entry.name in str(error):
            raise
        raise type(error)(f"model {entry.name}: {error}") from error


@dataclass(frozen=True)
class _Packaging:
    entry: ModelEntry
    found: RegisteredVersion
    work: Path
    now: datetime

    def run(self) -> None:
        """Leave a sealed bundle in `work`. Raises BundleError naming the version and the file."""
        try:
            self._run()
        except (BundleError, ModelError) as error:
            said = loading_failure(error, self.work / MODEL).replace(f"{self.work}{os.sep}", "")
            version = f"model {self.found.name} version {self.found.version}"
            raise BundleError(f"{version}: {said}") from error

    def _run(self) -> None:
        logger.info("fetched", extra={"model": self.found.name, "version": self.found.version})
        directory = self.work / MODEL
        digest = check_integrity(directory, self.entry)
        source = read_source(directory, digest)
        schema = source.schema(self.entry)
        rows = self._known_rows(source, schema)
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
        reference = [] if source.reference is None else rows
        outlier = compile_outlier(source, schema, self.entry, batch, reference, self.work)
        reasons = self._reasons(source, schema, backend, batch, rows)
        self._write(self._manifest(source, schema, backend, outlier, reasons, None))
        # What was written is loaded as a lane will, and its example scored.
        model = load_model(self.work, self.now)
        if source.reference is not None:
            written = ReferenceSpec(
                "reference/reference.parquet", write_reference(model, rows, self.work)
            )
            self._write(self._manifest(source, schema, backend, outlier, reasons, written))

    def _reasons(
        self,
        source: ModelSource,
        schema: Schema,
        chosen: ChosenBackend,
        batch: RecordBatch,
        rows: Sequence[Mapping[str, Any]],
    ) -> ReasonsSpec:
        known = [{name: row[name] for name in schema.names if name in row} for row in rows]
        background = validate_rows(schema, known, [str(i) for i in range(len(known))]).batch
        backend = open_backend(self.work, chosen.spec, chosen.output.raw, schema)
        width = chosen.spec.call_width
        return prepare_reasons(
            source, schema, chosen.output, backend, width, batch, background, self.work
        )

    def _known_rows(self, source: ModelSource, schema: Schema) -> list[dict[str, Any]]:
        if source.reference is not None:
            return read_reference_rows(source.reference, schema.names)
        return source.examples

    def _manifest(
        self,
        source: ModelSource,
        schema: Schema,
        backend: ChosenBackend,
        outlier: CompiledOutlier | None,
        reasons: ReasonsSpec,
        reference: ReferenceSpec | None,
    ) -> Manifest:
        example = source.example
        return sealed(
            Manifest(
                format=FORMAT,
                digest="",
                name=self.found.name,
                version=self.found.version,
                alias=self.entry.alias,
                role=self.entry.role,
                run_id=self.found.run_id,
                source=self.found.source,
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
                reasons=reasons,
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
