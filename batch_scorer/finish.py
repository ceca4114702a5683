"""The end of a run: whoever sees that every piece is recorded writes the manifest.

1 add up the pieces, 2 drop parts that are not of this run, 3 deliver a Delta table, 4 write the
report, 5 write the run manifest, 6 remember what was scored, 7 drop the ledger. A run that ends
before 5 is finished by the next attempt, and one that ends before 7 is tidied by it.
"""

from adapters.storage import Storage
from batch_scorer.accounts import expected_parts, manifest_of
from batch_scorer.delivery.parts import PartEncoder
from batch_scorer.delivery.tidying import tidy
from batch_scorer.inputs.opening import open_input
from batch_scorer.ledger import Ledger, PieceReport
from batch_scorer.outcome import Outcome
from batch_scorer.plan import Plan
from batch_scorer.report import REPORT, previous_run, render
from batch_scorer.run_manifest import (
    RunManifest,
    read_run_manifest,
    run_directory,
    write_run_manifest,
)
from batch_scorer.settings import BatchSettings
from batch_scorer.summary import summarize
from batch_scorer.unit import Clock
from scoring.errors import ConfigurationError


def finish_run(
    settings: BatchSettings,
    output: Storage,
    plan: Plan,
    recorded: dict[tuple[int, int], PieceReport],
    encoder: PartEncoder,
    clock: Clock,
) -> tuple[RunManifest, RunManifest | None]:
    """Steps 1 to 5; every piece is recorded. The manifest, and that of the previous run.

    Blocks on storage; may be repeated.
    """
    manifest = manifest_of(plan, recorded, settings.max_rejected_share, clock())  # 1
    output.sweep(run_directory(plan.run_id))
    tidy(output, plan.run_id, expected_parts(plan, recorded, encoder), encoder)  # 2
    if plan.shape.output_format == "delta":
        from batch_scorer.delivery.delta import deliver_delta

        secret = settings.connection_string()
        deliver_delta(output, secret, plan, encoder, settings.retry_seconds)  # 3
    directory, previous = run_directory(plan.run_id), previous_run(output, manifest)
    page = render(manifest, previous, output.url_of(directory))
    output.write(f"{directory}/{REPORT}", page)  # 4
    write_run_manifest(output, manifest)  # 5
    return manifest, previous


def settle(settings: BatchSettings, output: Storage, manifest: RunManifest) -> None:
    """Steps 6 and 7 of a run that is complete. Blocks on storage; may be repeated."""
    if settings.incremental != "none":
        from batch_scorer.inputs.incremental import remember

        remember(output, settings.input, manifest)  # 6
    Ledger(output, manifest.run_id).drop()  # 7


def found_complete(settings: BatchSettings, output: Storage, run_id: str) -> Outcome | None:
    """What is said of a run that is complete already."""
    manifest = read_run_manifest(output, run_id)
    if manifest is None or manifest.outcome != "complete":
        return None
    source, _ = open_input(settings.input, settings.connection_string(), settings.retry_seconds)
    if manifest.input and manifest.input != source.url.rstrip("/"):
        raise ConfigurationError(
            f"run {run_id} is complete, and had another input; choose another --run-id"
        )
    settle(settings, output, manifest)
    text = summarize(manifest, output, previous_run(output, manifest))
    return Outcome(f"run {run_id} is complete already; nothing was scored\n{text}")
