"""Weights from a model hub: what its client has cached already, and, when allowed, what it can fetch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from antiphon.models.manifest import HubFile, WeightsFile
from antiphon.models.transfer import Transfer


def hub_allowed(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a hub may be asked: `ANTIPHON_HUB=1`, or `HF_ENDPOINT` names one and `ANTIPHON_HUB` is not 0.

    Off otherwise, because the registries hold all that is needed, and many machines reach those but no hub.
    """
    if environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return False
    if (said := environ.get("ANTIPHON_HUB")) is not None:
        return said.lower() in ("1", "true", "yes", "on")
    return bool(environ.get("HF_ENDPOINT"))


def cached_file(file: HubFile) -> Path | None:
    """Return the file in the hub client's own cache, or None. Asks no network."""
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 optional, and slow to import
    except ImportError:
        return None
    found = try_to_load_from_cache(file.repo, file.path, revision=file.revision)
    return Path(found) if isinstance(found, str) else None


def hub_transfer(file: WeightsFile) -> Transfer | None:
    """Return how to fetch the file from the hub, or None when there is no hub client here."""
    if file.hub is None:
        return None
    try:
        from huggingface_hub import get_token, hf_hub_url  # noqa: PLC0415 optional, and slow to import
    except ImportError:
        return None
    token = get_token()
    return Transfer(
        url=hf_hub_url(
            file.hub.repo, file.hub.path, revision=file.hub.revision, endpoint=os.environ.get("HF_ENDPOINT")
        ),
        sha256=file.sha256,
        size=file.size,
        authorization=f"Bearer {token}" if token else None,
    )
