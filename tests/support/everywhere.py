"""One bundle and its records through all three lanes, as real processes."""

from datetime import UTC, datetime
from pathlib import Path

from local_stack.broker import run_broker
from local_stack.lanes import Lanes, free_ports, largest_difference
from local_stack.log_counts import wait_for_entries
from local_stack.online_client import Prediction
from local_stack.population import read_records
from local_stack.processes import LocalProcesses
from scoring.bundle_schema import manifest_schema
from scoring.manifest import read_manifest
from tests.support.bundles import RealBundle

WHEN = datetime(2026, 3, 2, 10, 30, tzinfo=UTC).isoformat()


def score_everywhere(
    real: RealBundle, directory: Path, per_request: int, reasons: int = 0
) -> dict[str, Prediction]:
    """Score every record one at a time, in groups, from events and from a file.

    Fails unless all lanes agree to the last bit, nothing was rejected, and everything is in the
    inference log. Returns the predictions by record id.
    """
    schema = manifest_schema(read_manifest(real.bundle))
    records = read_records(real.records, schema, real.id_column)
    with LocalProcesses(directory / "logs") as processes, run_broker() as broker:
        ports = free_ports()
        lanes = Lanes(processes, real.bundle, directory, broker, ports, real.id_column, reasons)
        lanes.start()
        single = lanes.online(records, 1, WHEN).predictions
        grouped = lanes.online(records, per_request, WHEN).predictions
        lanes.publish(real.records, WHEN)
        stream, dead_letters = lanes.stream(len(records))
        batch, manifest = lanes.batch(real.records, "test", WHEN)
        logged = wait_for_entries(lanes.storage, 4 * len(records), 30.0, lambda _: None)
    assert len(single) == len(records)
    assert dead_letters == []
    assert manifest["totals"] == {"received": len(records), "scored": len(records), "rejected": 0}
    assert largest_difference([single, grouped, stream, batch]) == 0
    assert logged == {
        ("online", "scored"): 2 * len(records),
        ("stream", "scored"): len(records),
        ("batch", "scored"): len(records),
    }
    return single
