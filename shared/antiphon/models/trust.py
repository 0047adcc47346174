"""Which certificates to trust: those the user names, else the system's, else the ones that come with httpx."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import certifi

_NAMED_BY = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def named_bundle(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of certificates that the environment names, the first that is there."""
    for name in _NAMED_BY:
        if (value := environ.get(name)) and (path := Path(value)).is_file():
            return path
    return None


def tls_context() -> ssl.SSLContext:
    """Return a context that verifies servers the way the package clients of this machine do."""
    context = ssl.create_default_context()
    bundle = named_bundle()
    if bundle is not None:
        context.load_verify_locations(bundle)
    elif not _system_has_certificates():
        context.load_verify_locations(certifi.where())
    return context


def _system_has_certificates() -> bool:
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return True
    return bool(paths.capath) and any(Path(paths.capath).iterdir())
