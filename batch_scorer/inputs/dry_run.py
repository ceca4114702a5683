"""`trilane batch --dry-run`: what a run would read, and how samples of it meet the model's schema.

Nothing is written, and no value of a record is shown.
"""

from collections import Counter
from collections.abc import Sequence
from threading import Lock

from adapters.record_files.parquet_footer import Footer, MatchedColumns
from adapters.storage import open_storage
from batch_scorer.inputs.chosen import Chosen, choose, read_options
from batch_scorer.inputs.dry_run_text import described
from batch_scorer.inputs.samples import MOST_FILES, Sample, evenly, sample
from batch_scorer.outcome import Outcome
from batch_scorer.plan import PlannedFile
from batch_scorer.settings import BatchSettings
from scoring.bundle_schema import describe_bundle
from scoring.bundles import champion_path
from scoring.schema import Schema


def dry_run(settings: BatchSettings) -> Outcome:
    """Looks at the input; blocks on storage. The model is not loaded.

    It fails when a file cannot be read, or when none of the sampled rows is valid. Raises
    TrilaneError when the input as a whole cannot be read.
    """
    schema = describe_bundle(champion_path(settings.bundle)).schema
    output = open_storage(settings.output, settings.connection_string(), settings.retry_seconds)
    columns = _Columns()
    chosen = choose(settings, schema, output, looked=columns.looked)
    samples = [
        (file, _sample(settings, chosen, columns, schema, file))
        for file in evenly(chosen.files, MOST_FILES)
    ]
    text = described(settings, chosen, samples, columns.misfits)
    return Outcome(text, _failure(chosen.files, samples))


class _Columns:
    """What the footers of all Parquet files say; told by several threads."""

    def __init__(self) -> None:
        self.misfits: Counter[str] = Counter()
        self.without_id: dict[str, tuple[str, ...]] = {}
        self._lock = Lock()

    def looked(self, file: PlannedFile, footer: Footer, found: MatchedColumns | None) -> None:
        """See `Looked`."""
        with self._lock:
            if found is None:
                self.without_id[file.file] = tuple(footer.columns.names)
            else:
                self.misfits.update(found.misfits)


def _sample(
    settings: BatchSettings, chosen: Chosen, columns: _Columns, schema: Schema, file: PlannedFile
) -> Sample:
    id_column = settings.record_id_column
    if file.error is None:
        options = read_options(settings, file)
        return sample(chosen.listing.storage, file, schema, id_column, options)
    names = columns.without_id.get(file.file, ())
    return Sample(missing=(id_column,) if names else (), unknown=names, error=file.error)


def _failure(
    files: Sequence[PlannedFile], samples: Sequence[tuple[PlannedFile, Sample]]
) -> str | None:
    """Why a run would not do what is wanted of it."""
    broken = {file.file for file in files if file.error is not None}
    broken |= {file.file for file, found in samples if found.error is not None}
    said = [f"{len(broken):,} of {len(files):,} files cannot be read"] if broken else []
    if any(found.rows for _, found in samples) and not any(found.valid for _, found in samples):
        said.append("none of the sampled rows is valid")
    return "; ".join(said) or None
