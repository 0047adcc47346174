"""The bytes behind a token of a byte-level vocabulary."""

from __future__ import annotations

from types import MappingProxyType


def _alphabet() -> dict[str, int]:
    """Return the byte that each letter of the vocabulary stands for: printable ones themselves, the others moved up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + index): byte for index, byte in enumerate(moved)}


_ALPHABET = MappingProxyType(_alphabet())


def token_bytes(written: str) -> bytes:
    """Return the bytes of a token as the vocabulary writes it; what it does not spell byte by byte is taken as text.

    >>> token_bytes("Ġso")
    b' so'
    """
    try:
        return bytes(_ALPHABET[letter] for letter in written)
    except KeyError:
        return written.encode()
