"""The URLs under which a client sees the API: by date in the query, or by version in the path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.requests import Request

from services.ingest.platform import platform_of

ROOT = "/speechtotext"
LEGACY = ("v3.1", "v3.2")
"""Versions that stand in the path; with them, transcriptions are created by a plain POST."""
CONTENT = f"{ROOT}/content"
"""Where signed links lead."""

_VERSION = re.compile(rf"{ROOT}/({'|'.join(map(re.escape, LEGACY))})/")


@dataclass(frozen=True)
class Address:
    """Where a client sees the API. `api_version` is None when the path says the version."""

    origin: str
    version: str | None
    api_version: str | None

    @classmethod
    def of(cls, request: Request) -> Address:
        """Return the address that a request came to."""
        prefix = platform_of(request).settings.path_prefix
        found = _VERSION.match(request.scope["path"])
        return cls(
            origin=f"{request.url.scheme}://{request.url.netloc}{prefix}",
            version=found[1] if found else None,
            api_version=None if found else request.query_params.get("api-version"),
        )

    @property
    def legacy(self) -> bool:
        """Whether the path says the version."""
        return self.version is not None

    def url(self, *segments: str, **query: str | int) -> str:
        """Return the URL of something; `segments` are percent-encoded, but for the colon before an action."""
        root = f"{self.origin}{ROOT}/{self.version}" if self.version else f"{self.origin}{ROOT}"
        path = "/".join([root, *(quote(segment, safe=":") for segment in segments)])
        parameters = dict(query) | ({"api-version": self.api_version} if self.api_version else {})
        return f"{path}?{urlencode(parameters)}" if parameters else path
