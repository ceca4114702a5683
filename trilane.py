"""The console script: `trilane COMMAND`, each command imported only when it is called."""

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "train": ("training.__main__", "train the shipped example and register it in MLflow"),
    "package": ("bundling.__main__", "turn the configured model versions into bundles"),
    "api-key": ("online_api.access.new_key", "make an API key of the online API"),
    "online": ("online_api.__main__", "serve the online API"),
    "stream": ("stream_worker.__main__", "score events from the event hub"),
    "batch": ("batch_scorer.__main__", "score files"),
    "monitor": ("monitoring.__main__", "compute drift from the inference log"),
    "replay": ("stream_worker.replay.__main__", "score dead letters again with the model of now"),
    "publish": ("stream_worker.publish", "publish records from a file as events"),
    "demo": ("local_stack.__main__", "run everything on this machine, once through"),
}

_USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command with the rest of the arguments; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else _USAGE_ERROR
    command, *rest = arguments
    if command not in COMMANDS:
        print(
            f"trilane: no command of that name; see `trilane --help`\n\n{_help()}", file=sys.stderr
        )
        return _USAGE_ERROR
    module, _ = COMMANDS[command]
    result: int = import_module(module).main(rest)
    return result


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: trilane COMMAND [OPTIONS]",
            "",
            "One MLflow model, three lanes, one watcher.",
            "",
            *lines,
            "",
            "`trilane COMMAND --help` lists the options of a command.",
            "Exit codes: 0 done, 1 repair something first, 2 wrong usage, 75 try again later.",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
