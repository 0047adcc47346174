"""Keys that an operator makes for others: kept as digests, each with a tenant, limits and models of its own."""

from antiphon.keys.records import Grace, KeyRecord, KeyState
from antiphon.keys.secrets import digest_of, is_key, new_key
from antiphon.keys.store import Changes, Keys

__all__ = ["Changes", "Grace", "KeyRecord", "KeyState", "Keys", "digest_of", "is_key", "new_key"]
