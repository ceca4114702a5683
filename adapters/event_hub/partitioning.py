"""Which partition a key belongs to: the same one whoever publishes, over either protocol."""

from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

_KEYS: Final = 100_000
_POSITIVE: Final = 0x7FFFFFFF


@lru_cache(maxsize=_KEYS)
def place_of_key(key: bytes, count: int) -> int:
    """A place in the sorted list of `count` partitions, as Kafka's default partitioner chooses it.

    Remembered for the last keys, because the hash is slow in Python.
    """
    return int(murmur2(key) & _POSITIVE) % count
