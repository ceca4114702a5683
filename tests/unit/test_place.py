"""Where a bundle is put: what is left by a packager that died, and a swap that fails half-way."""

import threading
import uuid
from pathlib import Path

import pytest

from bundling.place import held, rename_twice, replacing
from scoring.errors import BundleError, ServiceUnavailable
from scoring.model_loader import load_model
from tests.support.toy import NOW, make_bundle


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The place of a bundle named with dots, with its neighbours beside."""
    for name in ("a", "a.b.c", ".a.b", "a.b.c.d"):
        (tmp_path / name).mkdir()
    return tmp_path / "a.b"


def names(place: Path) -> set[str]:
    """What lies in the directory besides the neighbours."""
    return {path.name for path in place.parent.iterdir()} - {"a", "a.b.c", ".a.b", "a.b.c.d"}


def make(place: Path, text: str) -> None:
    """Put a bundle of one file in its place."""
    with held(place), replacing(place) as work:
        (work / "file").write_text(text)


def leftover(place: Path, text: str, suffix: str = "") -> Path:
    """A directory that a packager left."""
    path = place.with_name(f".{place.name}.{uuid.uuid4().hex}{suffix}")
    path.mkdir()
    (path / "file").write_text(text)
    return path


def test_a_bundle_replaces_the_one_before(place: Path) -> None:
    """And nothing lies beside it."""
    for text in ("first", "second"):
        make(place, text)
        assert (place / "file").read_text() == text
        assert names(place) == {"a.b"}


def test_a_failure_leaves_what_stood(place: Path) -> None:
    """Of whatever kind, an interruption among them."""
    make(place, "stands")
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), held(place), replacing(place):
            raise error
    with pytest.raises(BundleError, match="No space left"), held(place), replacing(place):
        raise OSError(28, "No space left on device")
    assert (place / "file").read_text() == "stands"
    assert names(place) == {"a.b"}


def test_what_a_killed_packager_left_is_removed(place: Path) -> None:
    """Of this bundle, and not of one whose name begins with the same letters."""
    make(place, "stands")
    other = leftover(place.with_name("a.b.c"), "of another")
    leftover(place, "half")
    leftover(place, "older", ".previous")
    with held(place):
        assert names(place) == {"a.b", ".a.b.lock", other.name}
    assert (place / "file").read_text() == "stands"


def test_a_bundle_is_brought_back_that_was_moved_away(place: Path) -> None:
    """Its packager died between two renames."""
    leftover(place, "stands", ".previous")
    leftover(place, "new")
    with held(place):
        assert (place / "file").read_text() == "stands"
    assert names(place) == {"a.b"}


def test_two_renames_are_undone_when_the_second_fails(place: Path, tmp_path: Path) -> None:
    """Where two directories cannot be exchanged."""
    make(place, "stands")
    with pytest.raises(FileNotFoundError):
        rename_twice(tmp_path / ".a.b.gone", place)
    assert (place / "file").read_text() == "stands"
    assert names(place) == {"a.b"}
    work = leftover(place, "new")
    rename_twice(work, place)
    assert (place / "file").read_text() == "new"
    assert names(place) == {"a.b"}


def test_a_place_that_is_held_is_refused_to_others(place: Path) -> None:
    """At once, saying who holds it; and free afterwards."""
    with held(place):
        with (
            pytest.raises(ServiceUnavailable, match=r"held by process [0-9]+ on .*wait"),
            held(place),
        ):
            pass
        with held(place.with_name("a.b.c")):
            pass
    with held(place):
        pass
    assert names(place) == set()


def test_a_lock_that_was_left_holds_nobody_up(place: Path) -> None:
    """The file may stay; the lock goes with its process."""
    place.with_name(".a.b.lock").write_text("process 1 on another machine")
    with held(place):
        pass
    assert names(place) == set()


def test_a_link_in_the_place_is_refused(place: Path, tmp_path: Path) -> None:
    """It could lead anywhere."""
    place.symlink_to(tmp_path / "a")
    with pytest.raises(BundleError, match="is no directory"), held(place):
        pass


def test_a_reader_sees_one_bundle_or_the_next(tmp_path: Path) -> None:
    """While it is replaced again and again it is never missing or half of another (Linux)."""
    place = make_bundle(tmp_path / "out" / "toy", reference=0, version="1")
    over = threading.Event()
    seen: list[int] = []
    failures: list[Exception] = []

    def read() -> None:
        while not over.is_set():
            try:
                seen.append(int(load_model(place, NOW).manifest.version))
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(2, 60):
        with held(place), replacing(place) as work:
            make_bundle(work, reference=0, version=str(version))
    over.set()
    reader.join()
    assert failures == []
    assert seen == sorted(seen)
    assert len(set(seen)) > 5
