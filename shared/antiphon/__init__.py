"""Antiphon: a self-hosted audio platform on Redis Streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.producer import Producer, SyncProducer

__all__ = ["Producer", "SyncProducer", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the producers when they are asked for: the services do without them."""
    if name in {"Producer", "SyncProducer"}:
        from antiphon import producer  # noqa: PLC0415

        return getattr(producer, name)
    raise AttributeError(f"module 'antiphon' has no attribute {name!r}")
