"""`trilane demo`: everything on this machine, once through, with checks."""

import sys
from collections.abc import Sequence

from adapters.settings import run_command
from local_stack.settings import DemoSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(
        DemoSettings,
        _demo,
        argv,
        prog="trilane demo",
        description="Train, package, serve in three lanes and watch, all on this machine.",
    )


def _demo(settings: DemoSettings) -> None:
    from local_stack.demo import run_demo

    stay = sys.stdout.isatty() if settings.stay == "auto" else settings.stay == "yes"
    run_demo(settings, stay)


if __name__ == "__main__":
    raise SystemExit(main())
