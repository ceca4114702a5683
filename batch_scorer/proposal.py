"""The plan of a run that begins now, from the settings and from what lies in the input."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from adapters.storage import Storage, open_storage
from batch_scorer.distribution import bins_of
from batch_scorer.plan import Plan, PlannedFile, Shape
from batch_scorer.run_manifest import ModelReport
from batch_scorer.settings import BatchSettings
from scoring.bundles import champion_path
from scoring.errors import ConfigurationError
from scoring.model import ModelBundle
from scoring.schema import FieldType

REFERENCE_RECORDS: Final = 250_000
REFERENCE_BYTES: Final = 64 << 20
"""From so much input on the inference log gets references: every feature would be written again.
Where files do not say how many records they have, bytes count.
"""


def proposed_plan(
    settings: BatchSettings,
    run_id: str,
    source: Storage,
    files: list[PlannedFile],
    model: ModelBundle,
    started: datetime,
) -> Plan:
    """What an attempt that begins now would do. Raises ConfigurationError, ReasonsUnavailable when
    the settings do not fit the model.
    """
    _check_record_id(settings, model)
    if settings.log == "reference" and settings.output_format == "csv":
        raise ConfigurationError(
            "--log reference refers to Parquet parts: use it with another --output-format"
        )
    if settings.reasons:
        model.require_explainer()
    dialect, manifest = settings.dialect(), model.manifest
    return Plan(
        format=1,
        run_id=run_id,
        input=source.url.rstrip("/"),
        model=ModelReport(
            manifest.name,
            manifest.version,
            manifest.digest,
            manifest.alias,
            manifest.source_digest,
        ),
        shape=Shape(
            record_id_column=settings.record_id_column,
            chunk_records=settings.chunk_records,
            reasons=min(settings.reasons, len(model.schema.names)),
            columns=settings.columns,
            delimiter=dialect.delimiter,
            quote=dialect.quote,
            encoding=dialect.encoding,
            decimal=dialect.decimal,
            output_format=settings.output_format,
            published=settings.publish,
            as_of=None if settings.as_of is None else settings.as_of.astimezone(UTC).isoformat(),
        ),
        event_time=(settings.as_of or started).isoformat(),
        started_at=started.isoformat(),
        by_reference=_by_reference(settings, files),
        bins=bins_of(champion_path(settings.bundle), model),
        files=files,
    )


def check_apart(settings: BatchSettings, source: Storage, output: Storage) -> None:
    """Raises ConfigurationError when a run would read what runs write."""
    store = open_storage(settings.storage_url, settings.connection_string())
    for name, written in (("output", output), ("inference log", store)):
        if f"{_real(written)}/".startswith(f"{_real(source)}/"):
            raise ConfigurationError(
                f"the {name} {written.url} lies in the input {source.url}: "
                "the next run would read what this one writes"
            )


def _real(storage: Storage) -> str:
    """Its URL, with links and dots of a directory followed."""
    scheme, separator, path = storage.url.partition("://")
    if scheme == "file":
        path = os.path.realpath(path)
    return f"{scheme}{separator}{path}".rstrip("/")


def _by_reference(settings: BatchSettings, files: Sequence[PlannedFile]) -> bool:
    if settings.log != "auto":
        return settings.log == "reference"
    records = sum(file.rows for file in files if file.rows is not None)
    size = sum(file.size for file in files if file.rows is None)
    large = records / REFERENCE_RECORDS + size / REFERENCE_BYTES >= 1
    return large and settings.output_format != "csv"


def _check_record_id(settings: BatchSettings, model: ModelBundle) -> None:
    """A feature can be the id too, if every value of it can be one."""
    for feature in model.schema.features:
        usable = feature.type in (FieldType.STRING, FieldType.INTEGER, FieldType.LONG)
        if feature.name == settings.record_id_column and not usable:
            raise ConfigurationError(
                f"the record id column '{feature.name}' is a feature of type {feature.type}, which "
                "cannot identify a record; name another column by --record-id-column"
            )
