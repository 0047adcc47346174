"""What a reference may say."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from urllib.parse import unquote_to_bytes

from antiphon.errors import InvalidValue

_LARGE_NAME = re.compile(r"[0-9]{8}/[0-9a-f]{32}")
_KEY = re.compile(r"[0-9A-Za-z_.-]{1,128}")
_INLINE_LIMIT = 1024 * 1024
"""Bytes of a `data:` reference that are accepted."""


def split_reference(uri: str) -> tuple[str, str]:
    """Return the scheme of a reference and what follows it."""
    scheme, _, rest = uri.partition(":")
    return scheme.lower(), rest


def is_url(scheme: str) -> bool:
    """Tell whether what a reference names lies with somebody else."""
    return scheme in {"http", "https"}


def new_small_name() -> str:
    """Return a name in Redis that nobody can guess."""
    return secrets.token_hex(16)


def new_large_name() -> str:
    """Return a name in a large store: the day, by which old ones are found, and what nobody can guess."""
    return f"{time.strftime('%Y%m%d', time.gmtime())}/{secrets.token_hex(16)}"


def is_large_name(name: str) -> bool:
    """Tell whether a name may be one that `new_large_name` gave."""
    return _LARGE_NAME.fullmatch(name) is not None


def redis_key(name: str) -> str:
    """Return the key of a small payload. Raises `InvalidValue` for what is no name of one."""
    if not _KEY.fullmatch(name):
        raise InvalidValue("The audio reference names no key of this platform.", param="audio")
    return f"blob:{name}"


def read_inline(rest: str) -> bytes:
    """Return the payload of a `data:` reference. Raises `InvalidValue`."""
    head, comma, payload = rest.partition(",")
    if not comma or len(payload) > _INLINE_LIMIT * 2:
        raise InvalidValue("The inline audio is malformed or larger than 1 MiB.", param="audio")
    try:
        return base64.b64decode(payload, validate=True) if head.endswith(";base64") else unquote_to_bytes(payload)
    except binascii.Error as error:
        raise InvalidValue("The inline audio is not valid base64.", param="audio") from error
