"""Randomness as a function of position: any row of any epoch's order is computed, never replayed.

So nothing about the data order needs saving, and a resume in the middle of an epoch is an index.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
SORTED_ROWS = 1 << 14

PIECE = 1 << 14
"""Positions that are enciphered together: their words and those of each round stay in the processor's nearest cache."""

ROUNDS = 6


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 64-bit key for one purpose, e.g. `derive(seed, "shuffle", epoch)`; other purposes share nothing."""
    words = "/".join(str(word) for word in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "little")


def mix(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Scatter 32-bit words in place: the finalizer of MurmurHash3 (Appleby, 2011)."""
    words ^= words >> np.uint32(16)
    words *= np.uint32(0x85EBCA6B)
    words ^= words >> np.uint32(13)
    words *= np.uint32(0xC2B2AE35)
    words ^= words >> np.uint32(16)
    return words


@dataclass(frozen=True, slots=True)
class Permutation:
    """A random order of 0 .. size-1 of which any stretch costs only its own length.

    Large orders are an alternating Feistel network on a rectangle of about as many cells, with cycle walking (Black and
    Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). Small ones, for which a network of few bits would be too
    regular, sort hashed positions.
    """

    size: int
    key: int

    def at(self, start: int, stop: int) -> Index:
        """Return the elements at the positions start .. stop-1 of the order."""
        return self.of(np.arange(start, stop, dtype=np.int64))

    def of(self, positions: Index) -> Index:
        """Return the elements at the given positions, each in 0 .. size-1."""
        if self.size <= SORTED_ROWS:
            return self._sorted()[positions]
        elements = np.empty(len(positions), np.uint32)
        for start in range(0, len(positions), PIECE):
            elements[start : start + PIECE] = self._encipher(positions[start : start + PIECE].astype(np.uint32))
        outside = np.flatnonzero(elements >= self.size)
        while len(outside):
            words = self._encipher(elements.take(outside))
            elements.put(outside, words)
            outside = outside.take(np.flatnonzero(words >= self.size))
        return elements.astype(np.int64)

    def _round_keys(self) -> NDArray[np.uint32]:
        low_high = np.array([self.key & 0xFFFFFFFF, self.key >> 32], dtype=np.uint32)
        return mix(np.arange(1, ROUNDS + 1, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.resize(low_high, ROUNDS))

    def _sorted(self) -> Index:
        first, second = self._round_keys()[:2]
        rows = np.arange(self.size, dtype=np.uint32)
        hashed = mix(rows ^ first).astype(np.uint64) << np.uint64(32) | mix(rows + second)
        return np.argsort(hashed, kind="stable").astype(np.int64)

    def _encipher(self, words: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Permute the cells of the smallest rectangle of `height` rows of 2^low_bits cells that holds all elements."""
        low_bits = (self.size - 1).bit_length() // 2
        height = np.uint32(-(-self.size >> low_bits))
        low, high = words & np.uint32((1 << low_bits) - 1), words >> np.uint32(low_bits)
        hashed, buffer = np.empty_like(words), np.empty_like(words)
        for number, key in enumerate(self._round_keys()):
            if number % 2:
                low ^= np.right_shift(_hash(high, key, hashed, buffer), np.uint32(32 - low_bits), out=hashed)
            else:
                _hash(low, key, hashed, buffer)
                hashed >>= np.uint32(16)
                hashed *= height
                hashed >>= np.uint32(16)
                high += hashed
                # Modulo the height: below it the difference wraps around to something larger.
                np.minimum(high, np.subtract(high, height, out=buffer), out=high)
        return high << np.uint32(low_bits) | low


def _hash(
    words: NDArray[np.uint32], key: np.uint32, out: NDArray[np.uint32], buffer: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Scatter words under a key, best in their high bits: the constants of Wellons, "Prospecting for Hash Functions" (2018)."""
    np.bitwise_xor(words, key, out=out)
    out *= np.uint32(0x7FEB352D)
    out ^= np.right_shift(out, np.uint32(15), out=buffer)
    out *= np.uint32(0x846CA68B)
    return out
