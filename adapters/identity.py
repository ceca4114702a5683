"""Who this process is to Azure: the one door to azure-identity.

Three identities are tried in turn: that of the workload, which AKS describes in
`AZURE_FEDERATED_TOKEN_FILE`, `AZURE_TENANT_ID` and `AZURE_CLIENT_ID`; a managed identity of the
machine; a developer's own, signed in to Azure CLI. `AZURE_TOKEN_CREDENTIALS` narrows them to one or
to the first two (`prod`). `AZURE_AUTHORITY_HOST` names the authority of another cloud. None of the
three asks login.microsoftonline.com which authorities there are, so a private cloud needs no more.
"""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from scoring.errors import ConfigurationError, ServiceUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.credentials_async import AsyncTokenCredential

_MISSING: Final = "signing in to Azure needs azure-identity and aiohttp (extra 'azure')"
_TOKEN_SECONDS: Final = 30.0
_MAX_REASON_CHARACTERS: Final = 500
_ADVICE: Final = "To mitigate this issue"
_BODY: Final = "Content: "  # of the answer whose text was just repeated
_EXCLUDED: Final[dict[str, Any]] = {
    "exclude_environment_credential": True,
    "exclude_shared_token_cache_credential": True,
    "exclude_visual_studio_code_credential": True,
    "exclude_powershell_credential": True,
    "exclude_developer_cli_credential": True,
}


@dataclass(frozen=True, slots=True)
class Token:
    """An access token (secret), and when it expires, in Unix seconds."""

    text: str = field(repr=False)
    expires_at: float


def azure_credential() -> "AsyncTokenCredential":
    """A credential for SDKs that are asynchronous; the caller closes it (`async with`).

    Connects on first use, in the event loop of that use. Raises ConfigurationError without the
    packages, or when the environment names an identity or authority that cannot be.
    """
    try:
        import aiohttp  # noqa: F401  (how the credential connects; it is optional to azure-identity)
        from azure.identity.aio import DefaultAzureCredential
    except ImportError as error:
        raise ConfigurationError(_MISSING) from error
    try:
        return DefaultAzureCredential(**_EXCLUDED)
    except ValueError as error:
        raise ConfigurationError(f"signing in to Azure: {error}") from error


def blocking_azure_credential() -> "TokenCredential":
    """The same for SDKs that block."""
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise ConfigurationError(_MISSING) from error
    try:
        return DefaultAzureCredential(**_EXCLUDED, exclude_broker_credential=True)
    except ValueError as error:
        raise ConfigurationError(f"signing in to Azure: {error}") from error


async def azure_token(scope: str) -> Token:
    """A token for `scope`, new or as long as the authority itself keeps one.

    Takes 30 seconds at most. Raises ServiceUnavailable when there is none, and as
    `azure_credential` does.
    """
    from azure.core.exceptions import AzureError

    try:
        async with asyncio.timeout(_TOKEN_SECONDS), azure_credential() as credential:
            found = await credential.get_token(scope)
    except TimeoutError as error:
        raise ServiceUnavailable(f"Entra ID gave no token for {scope} in time") from error
    except (AzureError, OSError) as error:
        text = f"Entra ID gave no token for {scope}: {_reason(error)}"
        raise ServiceUnavailable(text) from error
    return Token(found.token, found.expires_on)


def _reason(error: BaseException) -> str:
    """What azure-identity says, in one line, without repetition and general advice."""
    lines = str(error).partition(_ADVICE)[0].splitlines()
    kept = [line.strip() for line in lines if not line.lstrip().startswith(_BODY)]
    return " ".join(kept).strip()[:_MAX_REASON_CHARACTERS] or type(error).__name__
