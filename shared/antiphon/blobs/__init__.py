"""Payloads by reference: small ones in Redis, large ones in a folder or an S3-compatible store, others at a URL."""

from antiphon.blobs.store import Blobs, open_blobs
from antiphon.blobs.writer import BlobWriter

__all__ = ["BlobWriter", "Blobs", "open_blobs"]
