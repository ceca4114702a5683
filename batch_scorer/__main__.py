"""`trilane batch`, `python -m batch_scorer`: score files of records once, then end."""

from collections.abc import Sequence

from adapters.settings import run_command
from batch_scorer.settings import BatchSettings


def run(settings: BatchSettings) -> None:
    """Score and print a summary. Raises TrilaneError."""
    from datetime import UTC, datetime

    from batch_scorer.job import run_job

    print(run_job(settings, lambda: datetime.now(UTC)))


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
