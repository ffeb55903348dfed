"""Which partition a key belongs to: murmur2, as the Java client and everything that follows it does.

The hash of a whole batch is computed with numpy, keys of one length together, because a loop over the bytes of each
key costs more than everything else that an entry agent does with a record.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

SEED, M, R = 0x9747B28C, 0x5BD1E995, 24
_MEMORY_LIMIT = 100_000
_memory: dict[bytes, int] = {}  # hashes of keys seen: a cache of a pure function


def murmur2(keys: Sequence[bytes]) -> list[int]:
    """Kafka's murmur2 of each key, as unsigned 32-bit numbers.

    >>> murmur2([b"21", b"foobar", b"a-little-bit-long-string", b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"])
    [3321034988, 3504634814, 3308985760, 4236069325]
    """
    hashes = [0] * len(keys)
    missing: dict[int, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        known = _memory.get(key)
        if known is None:
            missing[len(key)].append(i)
        else:
            hashes[i] = known
    if missing:
        if len(_memory) > _MEMORY_LIMIT:
            _memory.clear()
        for length, places in missing.items():
            for i, value in zip(places, _of_length(length, [keys[i] for i in places]), strict=True):
                hashes[i] = _memory[keys[i]] = value
    return hashes


def _of_length(length: int, keys: Sequence[bytes]) -> list[int]:
    data = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), length)
    h = np.full(len(keys), SEED ^ length, np.uint32)
    whole = length - length % 4
    words = np.ascontiguousarray(data[:, :whole]).view("<u4").astype(np.uint32)
    m = np.uint32(M)
    for column in range(whole // 4):
        k = words[:, column] * m
        k ^= k >> np.uint32(R)
        h = (h * m) ^ (k * m)
    for place in range(length - whole - 1, -1, -1):
        h ^= data[:, whole + place].astype(np.uint32) << np.uint32(8 * place)
    if whole < length:
        h *= m
    h ^= h >> np.uint32(13)
    h *= m
    h ^= h >> np.uint32(15)
    values: list[int] = h.tolist()
    return values


def partitions_of(keys: Sequence[bytes], partitions: int) -> list[int]:
    """The partition of each key."""
    return [(value & 0x7FFFFFFF) % partitions for value in murmur2(keys)]


def partition_of(key: str, partitions: int) -> int:
    """The partition of one key.

    >>> partition_of("BTC-USD", 8) == partitions_of([b"BTC-USD"], 8)[0]
    True
    """
    return partitions_of([key.encode()], partitions)[0]
