"""`trilane online`, `python -m online_api`: score records over HTTP until told to stop."""

from collections.abc import Sequence

from adapters.settings import run_command
from online_api.settings import OnlineSettings


def run(settings: OnlineSettings) -> None:
    """Serve. Raises TrilaneError."""
    from online_api.processes.server import serve

    serve(settings)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(
        OnlineSettings,
        run,
        argv,
        prog="trilane online",
        description="Score records over HTTP; log every record.",
    )


if __name__ == "__main__":
    raise SystemExit(main())
