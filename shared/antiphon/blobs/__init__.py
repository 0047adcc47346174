"""Payloads by reference: small ones in Redis, large ones in a folder or an S3-compatible store."""

from antiphon.blobs.store import Blobs, BlobWriter, open_blobs

__all__ = ["BlobWriter", "Blobs", "open_blobs"]
