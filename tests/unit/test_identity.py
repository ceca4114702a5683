"""Which identity this process has in Azure, and what is said when it has none."""

import sys
from typing import Any

import pytest

from adapters.identity import Token, azure_credential, azure_token, blocking_azure_credential
from scoring.errors import ConfigurationError


def tried(credential: Any) -> list[str]:
    """The kinds of credential that a chain tries, in its order."""
    return [type(one).__name__ for one in credential.credentials]


def test_three_identities_are_tried_in_turn() -> None:
    """The workload's, the machine's, the developer's; nothing that needs a secret."""
    for credential in (azure_credential(), blocking_azure_credential()):
        missing, *others = tried(credential)
        assert missing.endswith("FailedDACCredential")  # the environment describes no workload
        assert others == ["ManagedIdentityCredential", "AzureCliCredential"]


def test_production_tries_no_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """AZURE_TOKEN_CREDENTIALS=prod leaves the developer's identity out."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
    assert tried(azure_credential())[1:] == ["ManagedIdentityCredential"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential"),
        ("AZURE_TOKEN_CREDENTIALS", "nonsense"),
        ("AZURE_AUTHORITY_HOST", "http://127.0.0.1"),
    ],
)
def test_an_environment_that_cannot_be_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """An identity that is not among the three, or an authority without TLS."""
    monkeypatch.setenv(name, value)
    for make in (azure_credential, blocking_azure_credential):
        with pytest.raises(ConfigurationError, match="signing in to Azure: "):
            make()


@pytest.mark.parametrize("missing", ["azure.identity.aio", "aiohttp"])
async def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without the extra a person is told which."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match="extra 'azure'"):
        azure_credential()
    with pytest.raises(ConfigurationError, match="extra 'azure'"):
        await azure_token("https://127.0.0.1/.default")


def test_a_missing_package_is_named_to_those_that_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise; they need no aiohttp."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert blocking_azure_credential()
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(ConfigurationError, match="extra 'azure'"):
        blocking_azure_credential()


def test_a_token_does_not_show_itself() -> None:
    """Its text is a secret, wherever it is printed."""
    assert "secret" not in repr(Token("secret", 1.0))
