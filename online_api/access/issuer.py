"""Whose tokens are accepted, from the settings."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from online_api.settings import OnlineSettings
from scoring.errors import ConfigurationError

_LOGIN: Final = "https://login.microsoftonline.com"
_DIRECTORY_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs tokens, for whom, and where the signing keys are published."""

    issuer: str
    audience: str
    jwks_url: str


def issuer_of(settings: OnlineSettings) -> Issuer | None:
    """The issuer that the `entra_` settings describe; None without any. Raises ConfigurationError.

    The tenant is its id and no domain name: the id is what stands in `iss`.
    """
    tenant, audience = settings.entra_tenant, settings.entra_audience
    if tenant is None:
        for name in ("entra_audience", "entra_issuer", "entra_jwks_url"):
            if getattr(settings, name) is not None:
                raise ConfigurationError(f"{name} needs entra_tenant beside it")
        return None
    if not _DIRECTORY_ID.fullmatch(tenant):
        raise ConfigurationError("entra_tenant must be the directory id, a GUID in lower case")
    if not audience:
        raise ConfigurationError("entra_tenant needs entra_audience beside it")
    url = settings.entra_jwks_url or f"{_LOGIN}/{tenant}/discovery/v2.0/keys"
    _check_url(url)
    return Issuer(settings.entra_issuer or f"{_LOGIN}/{tenant}/v2.0", audience, url)


def is_loopback_url(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        loopback = is_loopback_url(url)
    except ValueError:
        raise ConfigurationError("entra_jwks_url is no URL") from None
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise ConfigurationError("entra_jwks_url must be an https URL, or http on this machine")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("entra_jwks_url must hold no credentials")
