"""The identity provider's keys, kept: when they are fetched, and when they are not.

A key set is fetched when the first token comes, again in the background when it is an hour old, and
when a token names a kid that is not in it, for that is how a new key shows. The last happens at
most twice a minute: anybody can make up a kid, and must not be able to send us to the provider.
One fetch is under way at a time, in a thread; all who need it wait for the same one.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from typing import Final

from online_api.access.key_set import SigningKey
from scoring.errors import ServiceUnavailable

MAX_AGE_SECONDS: Final = 3_600.0
"""A key that the provider withdraws is believed for this long, while the provider answers."""

UNKNOWN_KID_SECONDS: Final = 30.0
"""Between the last fetch and one for a kid that is not known."""

RETRY_SECONDS: Final = 5.0
"""Between two fetches while the provider does not answer."""

STALE_SECONDS: Final = 86_400.0
"""How long known keys go on while the provider does not answer."""

WAIT_SECONDS: Final = 6.0
"""How long a request waits for a fetch: a little more than the fetch's own timeout."""

logger = logging.getLogger(__name__)


class SigningKeys:
    """The keys by kid. Belongs to one event loop."""

    def __init__(
        self,
        fetch: Callable[[], Mapping[str, SigningKey]],
        timer: Callable[[], float],
        max_wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        """`fetch` may block, is called in a thread, and raises ServiceUnavailable."""
        self._fetch = fetch
        self._timer = timer
        self._max_wait_seconds = max_wait_seconds
        self._keys: Mapping[str, SigningKey] = {}
        self._fetched_at = self._tried_at = -math.inf
        self._answered = True
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> SigningKey | None:
        """The key, or None when the provider publishes none of that kid.

        Waits for a fetch only when the key is not known. Raises ServiceUnavailable when it is not
        known and the provider does not answer.
        """
        key = self._known(kid)
        if key is not None:
            if self._timer() - self._fetched_at > MAX_AGE_SECONDS:
                self._begin()
            return key
        fetching = self._begin()
        if fetching is not None:
            # Not wait_for: a request that is given up must not end the fetch for the others.
            await asyncio.wait({fetching}, timeout=self._max_wait_seconds)
        key = self._known(kid)
        if key is None and not self._answered:
            raise ServiceUnavailable("the identity provider does not answer")
        return key

    def _known(self, kid: str) -> SigningKey | None:
        if self._timer() - self._fetched_at > STALE_SECONDS:
            return None
        return self._keys.get(kid)

    def _begin(self) -> "asyncio.Task[None] | None":
        """The fetch under way, or a new one, or None when it is too early for one."""
        if self._fetching is None:
            pause = UNKNOWN_KID_SECONDS if self._answered else RETRY_SECONDS
            if self._timer() - self._tried_at < pause:
                return None
            self._tried_at = self._timer()
            self._fetching = asyncio.create_task(self._refresh())
        return self._fetching

    async def _refresh(self) -> None:
        was_answered, self._answered = self._answered, False
        try:
            self._keys = await asyncio.to_thread(self._fetch)
        except ServiceUnavailable as error:
            if was_answered:
                logger.warning(
                    "signing keys cannot be fetched: %s",
                    error,
                    extra={"event": "signing_keys_unavailable", "known": len(self._keys)},
                )
        else:
            self._answered, self._fetched_at = True, self._timer()
            logger.info(
                "%d signing keys fetched",
                len(self._keys),
                extra={"event": "signing_keys_fetched", "keys": len(self._keys)},
            )
        finally:
            self._fetching = None
