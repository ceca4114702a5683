"""How long the storage door is patient, and how it waits."""

from dataclasses import dataclass, field

import pytest

from adapters.storage.errors import StorageRefused
from adapters.storage.retries import Retries
from scoring.errors import InputError, StorageUnavailable


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """It is later."""
        self.pauses.append(seconds)
        self.now += seconds

    def retries(self, seconds: float, chance: float = 0.0) -> Retries:
        """Patience by this clock."""
        return Retries(seconds, lambda: self.now, self.sleep, lambda: chance)


@dataclass
class Failing:
    """Fails with these errors, one a call, then returns."""

    errors: list[Exception]
    calls: int = 0

    def __call__(self) -> str:
        """The next."""
        self.calls += 1
        if self.calls <= len(self.errors):
            raise self.errors[self.calls - 1]
        return "done"


def test_pauses_double_up_to_ten_seconds() -> None:
    """From a tenth of a second on."""
    clock, call = Clock(), Failing([StorageUnavailable("no answer")] * 9)
    assert clock.retries(600).call(call) == "done"
    assert clock.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])


def test_chance_shortens_a_pause_by_half_at_most() -> None:
    """So that those who failed together do not return together."""
    clock, call = Clock(), Failing([StorageUnavailable("no answer")] * 3)
    clock.retries(600, chance=1.0).call(call)
    assert clock.pauses == pytest.approx([0.05, 0.1, 0.2])


def test_the_last_error_is_raised_when_the_time_is_over() -> None:
    """The time is that of one call in total, and is never overstepped by a pause."""
    clock = Clock()
    call = Failing([StorageUnavailable(f"no answer {n}") for n in range(100)])
    with pytest.raises(StorageUnavailable, match="no answer 5"):
        clock.retries(4).call(call)
    assert sum(clock.pauses) == pytest.approx(3.1)


def test_without_patience_there_is_one_attempt() -> None:
    """Zero seconds."""
    clock, call = Clock(), Failing([StorageUnavailable("no answer")])
    with pytest.raises(StorageUnavailable):
        clock.retries(0).call(call)
    assert (call.calls, clock.pauses) == (1, [])


@pytest.mark.parametrize("error", [InputError("gone"), StorageRefused("no"), ValueError("bug")])
def test_other_errors_are_not_waited_for(error: Exception) -> None:
    """Waiting cures only a storage that does not answer."""
    clock, call = Clock(), Failing([error])
    with pytest.raises(type(error)):
        clock.retries(600).call(call)
    assert (call.calls, clock.pauses) == (1, [])


def test_long_waits_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """From a second on, with the reason."""
    clock, call = Clock(), Failing([StorageUnavailable("abfs://x@y/z: ServiceRequestError")] * 6)
    clock.retries(600).call(call)
    assert [vars(r)["seconds"] for r in caplog.records] == [1.6, 3.2]
    assert {vars(r)["error"] for r in caplog.records} == {"abfs://x@y/z: ServiceRequestError"}
