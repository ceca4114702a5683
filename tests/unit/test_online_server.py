"""The process around the app."""

import pytest

from online_api.server import is_loopback


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.4", False),
        ("api.example.org", False),
    ],
)
def test_only_loopback_goes_without_a_warning(host: str, loopback: bool) -> None:
    """Whatever other machines may reach counts as open, names included."""
    assert is_loopback(host) is loopback
