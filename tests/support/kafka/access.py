"""Who may use the secure listener: as with Event Hubs, a connection string or an Entra ID token."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.identity import TENANT, claims_at, jwk, signing_key, token

USER = "$ConnectionString"
AUDIENCE = "https://127.0.0.1"
ISSUER = f"https://sts.windows.net/{TENANT}/"
_KEY = "kafka-key"


def connection_string(key: str = "bm90IGEgc2VjcmV0LCBqdXN0IGEgdGVzdCBrZXkhISE=") -> str:
    """One in Event Hubs' form; the default key is the right one."""
    return f"Endpoint=sb://127.0.0.1/;SharedAccessKeyName=k;SharedAccessKey={key}"


def access_token(signed_with: str = _KEY, **changed: Any) -> str:
    """A token for an hour from now on; `changed` claims or another key make it a wrong one."""
    claims = claims_at(datetime.now(UTC), **({"iss": ISSUER, "aud": AUDIENCE} | changed))
    return token(claims, _KEY, signed_with)


def write_key_set(path: Path) -> None:
    """The keys that tokens are checked with; they are this process's own."""
    path.write_text(json.dumps({"keys": [jwk(_KEY, signing_key(_KEY))]}), encoding="utf-8")
