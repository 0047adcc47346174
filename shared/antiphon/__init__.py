"""Antiphon: a self-hosted audio platform on Redis Streams."""

__version__ = "0.1.0"
