"""`trilane monitor`: watch one model version's inference log for drift."""

from collections.abc import Sequence

from adapters.settings import run_command
from monitoring.settings import MonitorSettings


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(
        MonitorSettings,
        _watch,
        argv,
        prog="trilane monitor",
        description="Compare every closed hour of the inference log with the model's reference.",
    )


def _watch(settings: MonitorSettings) -> None:
    from monitoring.worker import watch

    watch(settings)


if __name__ == "__main__":
    raise SystemExit(main())
