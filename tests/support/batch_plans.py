"""Plans of runs and reports of their work, which no run made."""

from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.record_files.chunks import Position
from batch_scorer.distribution import Distribution
from batch_scorer.ledger import PieceReport, UnitReport
from batch_scorer.plan import Piece, Plan, PlannedFile, Shape
from batch_scorer.run_manifest import Counts, ModelReport

MODEL = ModelReport("toy", "7", "d" * 64, "champion", "b" * 64)
SHAPE = Shape(
    record_id_column="record_id",
    chunk_records=10,
    reasons=0,
    columns={},
    delimiter="auto",
    quote='"',
    encoding="auto",
    decimal=".",
    output_format="parquet",
    published=False,
)
STARTED = "2026-03-02T01:00:00+00:00"


def planned_file(
    index: int = 0, file: str = "", pieces: int | list[Piece] = 1, **told: Any
) -> PlannedFile:
    """A CSV file of these pieces, or of so many with 4 units and 40 rows each."""
    name = file or f"{index}.csv"
    plain: dict[str, Any] = {
        "path": name,
        "url": f"file:///in/{name}",
        "size": 100,
        "etag": "e1",
        "format": "csv",
        "pieces": pieces if isinstance(pieces, list) else _pieces(pieces),
    }
    return PlannedFile(index=index, file=name, **(plain | told))


def _pieces(count: int) -> list[Piece]:
    return [Piece(place, 4 * place, 40 * place) for place in range(count)]


def plan_of(*files: PlannedFile, **told: Any) -> Plan:
    """A run of these files; what is told of its shape goes there."""
    shape = {name: told.pop(name) for name in Shape.__struct_fields__ if name in told}
    plain: dict[str, Any] = {
        "format": 1,
        "run_id": "r",
        "input": "file:///in",
        "model": MODEL,
        "shape": msgspec.structs.replace(SHAPE, **shape),
        "event_time": STARTED,
        "started_at": STARTED,
        "by_reference": False,
        "bins": {},
        "files": list(files),
    }
    return Plan(**(plain | told))


def unit_report(unit: int, scored: int = 10, rejected: int = 0, **told: Any) -> UnitReport:
    """A unit of a file with the etag `e1`, whose rejected rows lack a field; 0.5 s of work."""
    received = scored + rejected
    plain: dict[str, Any] = {
        "etag": "e1",
        "counts": Counts(received, scored, rejected),
        "codes": {"missing_field": rejected} if rejected else {},
        "distribution": scores(scored) if scored else {},
        "seconds": 0.5,
        "end": Position(10 * unit + received),
    }
    return UnitReport(unit=unit, **(plain | told))


def piece_report(
    scored: int = 10, rejected: int = 0, piece: int = 0, units: Sequence[int] = (0,), **told: Any
) -> PieceReport:
    """A piece of a file with the etag `e1`, all of whose units have parts of what it has any."""
    plain: dict[str, Any] = {
        "etag": "e1",
        "units": len(units),
        "scored_units": list(units) if scored else [],
        "rejected_units": list(units) if rejected else [],
        "counts": Counts(scored + rejected, scored, rejected),
        "codes": {"missing_field": rejected} if rejected else {},
        "distribution": scores(scored) if scored else {},
        "seconds": 0.5,
    }
    return PieceReport(piece=piece, **(plain | told))


def scores(count: int, value: float = 0.25) -> dict[str, Distribution]:
    """So many records of one score, without bins."""
    return {"score": Distribution(count, count * value, value, value)}


class Told:
    """A `Progress` that keeps what it was told, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, int]] = []
        self.shares: list[float | None] = []

    def resumed(self, file: PlannedFile, report: UnitReport | PieceReport) -> None:
        """See `Progress`."""
        number = report.unit if isinstance(report, UnitReport) else report.piece
        self.said.append(("resumed", file.file, number))

    def unit(self, file: PlannedFile, report: UnitReport, share: float | None = None) -> None:
        """See `Progress`."""
        self.said.append(("unit", file.file, report.unit))
        self.shares.append(share)

    def piece(self, file: PlannedFile, report: PieceReport) -> None:
        """See `Progress`."""
        self.said.append(("piece", file.file, report.piece))

    def units(self, how: str) -> list[int]:
        """The numbers of what was told so."""
        return [number for said, _, number in self.said if said == how]
