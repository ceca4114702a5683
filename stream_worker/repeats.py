"""For readers of scores and dead letters: drop the events that were delivered before.

This file needs nothing but Python's standard library: import it, or copy it.

Delivery is at least once, and a repeat has the id of its first delivery. Repeats come soon after
it, within what one worker has in hand, except after a replay of dead letters or when a consumer
group is set back: then they come as late as that happens. What is remembered here ends with the
process. A reader that writes to a database is better served by a unique key on the event id,
because that one is kept in the same transaction as the effect.
"""

import hashlib
from array import array
from typing import Final

BYTES_PER_ID: Final = 24
"""Memory per remembered id, up to 32 where twice the capacity is no power of two."""

_ID_BYTES: Final = 16


class Repeats:
    """Remembers event ids, and says of each whether it is the first.

    It holds the last `capacity` distinct ids and forgets the oldest first, by when they came first.
    An id of 32 hexadecimal digits is remembered as its 16 bytes, any other as a digest of that
    size. Not for use from several threads at once.
    """

    def __init__(self, capacity: int = 1_000_000) -> None:
        """Takes its memory at once: 24 to 32 bytes per id of the capacity. Raises ValueError when
        that is below 1.
        """
        if capacity < 1:
            raise ValueError("the capacity must be at least 1")
        self._capacity = capacity
        self._count = 0
        self._next = 0
        # The ids in the order they came, as a ring; and a table, at most half full, of places in
        # the ring, each counted from 1, found by the id's own first bytes and linear probing.
        self._ring = bytearray(_ID_BYTES * capacity)
        size = 1 << (2 * capacity - 1).bit_length()
        self._mask = size - 1
        self._table = array("I" if capacity < 1 << 32 else "Q", [0]) * size

    def __len__(self) -> int:
        return self._count

    def __contains__(self, event_id: str) -> bool:
        return self._table[self._slot(_key(event_id))] != 0

    def first(self, event_id: str) -> bool:
        """Whether this id is not remembered; remembers it from now on."""
        key = _key(event_id)
        slot = self._slot(key)
        if self._table[slot]:
            return False
        if self._count == self._capacity:
            self._forget(self._slot(self._key_at(self._next)))
            slot = self._slot(key)
        else:
            self._count += 1
        start = self._next * _ID_BYTES
        self._ring[start : start + _ID_BYTES] = key
        self._table[slot] = self._next + 1
        self._next = (self._next + 1) % self._capacity
        return True

    def _slot(self, key: bytes) -> int:
        """Where the key is in the table, or the empty slot where it belongs."""
        table, mask = self._table, self._mask
        slot = self._home(key)
        while (place := table[slot]) and self._key_at(place - 1) != key:
            slot = (slot + 1) & mask
        return slot

    def _forget(self, empty: int) -> None:
        """Empty a slot, and move up what was put behind it because it was taken."""
        table, mask = self._table, self._mask
        slot = empty
        while place := table[slot := (slot + 1) & mask]:
            distance = (slot - self._home(self._key_at(place - 1))) & mask
            if distance >= (slot - empty) & mask:
                table[empty] = place
                empty = slot
        table[empty] = 0

    def _home(self, key: bytes) -> int:
        return int.from_bytes(key[:8], "big") & self._mask

    def _key_at(self, place: int) -> bytes:
        return bytes(self._ring[place * _ID_BYTES : (place + 1) * _ID_BYTES])


def _key(event_id: str) -> bytes:
    if len(event_id) == 2 * _ID_BYTES:
        try:
            key = bytes.fromhex(event_id)
        except ValueError:
            key = b""
        if key.hex() == event_id:
            return key
    text = event_id.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=_ID_BYTES).digest()
