"""Which family of routes a request came in by: their errors and headers differ."""

from __future__ import annotations

import re
from typing import Literal

Surface = Literal["openai", "azure", "speech"]
"""`openai`: /v1 and /openai/v1, one and the same API. `azure`: the dated routes behind Azure's gateway.
`speech`: Azure AI Speech under /speechtotext."""

_V1 = re.compile(r"/openai/v1(/|$)")
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z0-9]+)?|v1|preview|latest")


def surface_of(path: str) -> Surface:
    """Return the family that `path` belongs to.

    >>> surface_of("/v1/models"), surface_of("/openai/v1/models"), surface_of("/openai/models")
    ('openai', 'openai', 'azure')
    """
    if f"{path}/".startswith("/speechtotext/"):
        return "speech"
    return "azure" if path.startswith("/openai/") and not _V1.match(path) else "openai"


def is_api_version(value: str | None) -> bool:
    """Tell whether `value` is a well-formed `api-version`."""
    return value is not None and _API_VERSION.fullmatch(value) is not None
