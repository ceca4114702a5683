"""One settings style for every command: a frozen pydantic-settings class per app.

A field `max_records` is the flag `--max-records` and the environment variable
`TRILANE_MAX_RECORDS`; the flag wins. Values never appear in error texts.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

from adapters.logs import setup_logging
from scoring.errors import TerminalError, TransientError

EXIT_DONE = 0
EXIT_TERMINAL = 1
EXIT_USAGE = 2
EXIT_TRANSIENT = 75
"""BSD's EX_TEMPFAIL: the same command may succeed later."""


class AppSettings(BaseSettings):
    """What every command takes."""

    model_config = SettingsConfigDict(
        env_prefix="TRILANE_",
        frozen=True,
        hide_input_in_errors=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
    )

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Log level.")


class StorageSettings(AppSettings):
    """What every command takes that reads or writes storage."""

    storage_url: str = Field(
        "var/storage",
        description="Root of inference-log/, drift/ and replays/: a directory, file: or abfs: URL.",
    )
    storage_connection_string: SecretStr | None = Field(
        None, description="Azure Storage connection string; without it workload identity is used."
    )

    def connection_string(self) -> str | None:
        """The secret in clear, for the SDK."""
        secret = self.storage_connection_string
        return None if secret is None else secret.get_secret_value()


S = TypeVar("S", bound=AppSettings)


def read_settings(cls: type[S], argv: Sequence[str] | None, prog: str, description: str) -> S:
    """Flags, then environment, then defaults. Exits 0 after `--help` and 2 on wrong usage."""
    config = {**cls.model_config, "cli_prog_name": prog}
    members = {"__doc__": description, "__module__": cls.__module__, "model_config": config}
    named: type[S] = type(cls.__name__, (cls,), members)
    try:
        return CliApp.run(named, cli_args=list(sys.argv[1:] if argv is None else argv))
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            name = "_".join(str(part) for part in problem["loc"])
            if not name:  # a rule over several settings, which names them itself
                print(f"{prog}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
                continue
            flag = "--" + name.replace("_", "-")
            print(f"{prog}: {flag} (TRILANE_{name.upper()}): {problem['msg']}", file=sys.stderr)
    except SettingsError as error:
        print(f"{prog}: {error}", file=sys.stderr)
    raise SystemExit(EXIT_USAGE)


def run_command(
    cls: type[S],
    main: Callable[[S], None],
    argv: Sequence[str] | None,
    prog: str,
    description: str,
) -> int:
    """Read the settings, set up logging, run `main`, and turn its errors into an exit code."""
    settings = read_settings(cls, argv, prog, description)
    setup_logging(settings.log_level)
    try:
        main(settings)
    except TerminalError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_TERMINAL
    except TransientError as error:
        print(f"{prog}: {error} (try again)", file=sys.stderr)
        return EXIT_TRANSIENT
    except KeyboardInterrupt:
        return 130
    return EXIT_DONE
