"""Makes the archive of classes that halves the broker's start: `python -m tests.support.kafka`."""

import tempfile
from pathlib import Path

from tests.support.kafka.server import KafkaServer, archive


def main() -> None:
    """Replaces the archive that is there by the classes that one short life of a broker needed."""
    new = archive().with_suffix(".new")
    flags = (f"-XX:ArchiveClassesAtExit={new}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
    with (
        tempfile.TemporaryDirectory() as directory,
        KafkaServer(Path(directory), flags=flags) as server,
    ):
        server.create_hubs(["first"])
    new.replace(archive())


if __name__ == "__main__":
    main()
