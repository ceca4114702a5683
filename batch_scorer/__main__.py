"""`trilane batch`, `python -m batch_scorer`: score files of records once, then end."""

from collections.abc import Sequence

from adapters.settings import run_command
from batch_scorer.outcome import RunFailed
from batch_scorer.settings import BatchSettings


def run(settings: BatchSettings) -> None:
    """Score and print a summary. Raises TrilaneError, RunFailed among them."""
    from datetime import UTC, datetime

    if settings.dry_run:
        from batch_scorer.inputs.dry_run import dry_run

        outcome = dry_run(settings)
    else:
        from batch_scorer.job import run_job

        outcome = run_job(settings, lambda: datetime.now(UTC))
    print(outcome.text)
    if outcome.failure is not None:
        raise RunFailed(outcome.failure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(
        BatchSettings,
        run,
        argv,
        prog="trilane batch",
        description="Score files of records; write scores, rejected rows and a run manifest.",
    )


if __name__ == "__main__":
    raise SystemExit(main())
