"""Seeded draws that do not depend on the order of drawing.

Every draw has a name that says what it is for (a seed, a user, a run, a step), and its value is a function of that name
alone. So another interleaving of tasks, or one more user, changes no other draw.
"""

import hashlib

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def key(*parts: object) -> int:
    """A 64-bit key for a named stream of draws."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def uniform(stream: int, index: int = 0) -> float:
    """Draw number ``index`` of a stream: a number in [0, 1), uniformly distributed.

    The mixing function is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    z = (stream + (index + 1) * _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53


def noise(stream: int, size: int) -> bytes:
    """So many bytes that look random, a function of the stream alone (SHAKE-128)."""
    return hashlib.shake_128(stream.to_bytes(8, "big")).digest(size)
