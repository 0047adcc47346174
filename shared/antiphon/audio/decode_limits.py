"""What one file may cost."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.audio.decoder_protocol import SPOOL_RATE


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """Bounds on one decoding. What exceeds them ends with an error for its caller alone.

    Attributes:
        min_s: seconds of sound below which a file is too short.
        max_s: seconds of sound above which a file is too long, whatever its size in bytes.
        memory_bytes: address space that decoding may take on top of an idle decoder's.
        cpu_s: seconds of CPU between two pieces of decoded sound.
        wall_s: seconds from start to end.
        start_s: seconds that a decoder may take to start.
        jobs: files after which a decoder is replaced by a fresh one.
    """

    min_s: float = 0.1
    max_s: float = 4 * 3600
    memory_bytes: int = 256 << 20
    cpu_s: int = 10
    wall_s: float = 900
    start_s: float = 30
    jobs: int = 500

    @property
    def min_samples(self) -> int:
        """`min_s` in decoded samples."""
        return round(self.min_s * SPOOL_RATE)

    @property
    def max_samples(self) -> int:
        """`max_s` in decoded samples."""
        return round(self.max_s * SPOOL_RATE)
