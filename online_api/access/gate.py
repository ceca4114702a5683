"""Who calls, and whether they may: asked once per request, before its body is read."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from online_api.access.api_keys import ApiKeys
from online_api.access.caller import ANONYMOUS, Caller, Role
from online_api.access.credentials import Credential, credential_in
from online_api.access.issuer import issuer_of
from online_api.access.refusals import RefusalLog, Refused, forbidden, unauthorized
from online_api.context import Sources
from online_api.problems import UNAVAILABLE, ProblemError
from online_api.settings import OnlineSettings
from scoring.errors import ConfigurationError, ServiceUnavailable

if TYPE_CHECKING:
    from online_api.access.tokens import TokenVerifier

Headers = Sequence[tuple[bytes, bytes]]


class Access:
    """The callers of one process. Belongs to one event loop."""

    def __init__(
        self, keys: ApiKeys | None, tokens: "TokenVerifier | None", timer: Callable[[], float]
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._log = RefusalLog(timer)

    @property
    def configured(self) -> bool:
        """Whether callers have to say who they are."""
        return self._keys is not None or self._tokens is not None

    async def caller(self, headers: Headers) -> Caller:
        """Who sent these ASGI headers, whose names are lower-case; anonymous if none is configured.

        Raises ProblemError: UNAUTHORIZED, or UNAVAILABLE when a token's signing key is not known
        and the identity provider does not answer. Only then, and for a first token, does it wait.
        """
        if not self.configured:
            return ANONYMOUS
        try:
            return await self._known(credential_in(headers))
        except Refused as refusal:
            self._log.refused(refusal.reason)
            raise unauthorized(refusal.reason) from None
        except ServiceUnavailable as error:
            raise ProblemError(UNAVAILABLE, str(error)) from None

    async def require(self, headers: Headers, role: Role) -> Caller:
        """The same, and raises ProblemError FORBIDDEN when the caller has not the role."""
        caller = await self.caller(headers)
        if not caller.may(role):
            self._log.refused("missing_role", caller)
            raise forbidden(role)
        return caller

    async def _known(self, credential: Credential) -> Caller:
        if credential.is_token:
            if self._tokens is None:
                raise Refused("unexpected_token")
            return await self._tokens.caller(credential.secret)
        caller = None if self._keys is None else self._keys.find(credential.secret)
        if caller is None:
            raise Refused("unknown_key")
        return caller


def open_access(settings: OnlineSettings, sources: Sources | None = None) -> Access:
    """The access that the settings describe. Reads the keys file; asks nothing of a network.

    Raises ConfigurationError.
    """
    sources = sources or Sources()
    issuer = issuer_of(settings)
    path = settings.api_keys_file
    if settings.anonymous and (path is not None or issuer is not None):
        raise ConfigurationError("anonymous contradicts api_keys_file and entra_tenant")
    keys = None if path is None else ApiKeys(path, sources.timer)
    tokens = None
    if issuer is not None:
        # The cryptography behind these is loaded only where tokens are accepted.
        from online_api.access.key_set import fetch_key_set
        from online_api.access.signing_keys import SigningKeys
        from online_api.access.tokens import TokenVerifier

        fetch = partial(fetch_key_set, issuer.jwks_url)
        tokens = TokenVerifier(issuer, SigningKeys(fetch, sources.timer), sources.now)
    return Access(keys, tokens, sources.timer)
