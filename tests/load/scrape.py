"""What a platform says of itself in its metrics: read from all processes, less what was before."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Samples:
    """Sums over all processes, by the name of a sample and its labels."""

    values: Mapping[tuple[str, Labels], float] = field(default_factory=dict)

    def minus(self, before: Samples) -> Samples:
        """Return what was added since."""
        return Samples({key: value - before.values.get(key, 0.0) for key, value in self.values.items()})

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the sums of a sample by some of its labels."""
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for (sample, own), value in self.values.items():
            if sample == name:
                named = dict(own)
                sums[tuple(named.get(label, "") for label in labels)] += value
        return dict(sums)

    def histogram(self, name: str, *labels: str) -> dict[tuple[str, ...], Histogram]:
        """Return histograms by some of their labels; those that have seen nothing are left out."""
        counts, totals = self.by(f"{name}_count", *labels), self.by(f"{name}_sum", *labels)
        buckets = self.by(f"{name}_bucket", *labels, "le")
        return {
            key: Histogram(
                count=round(count),
                total_s=totals.get(key, 0.0),
                buckets=tuple(sorted((float(place[-1]), seen) for place, seen in buckets.items() if place[:-1] == key)),
            )
            for key, count in counts.items()
            if round(count) > 0
        }


@dataclass(frozen=True)
class Histogram:
    """Seconds, counted in buckets: `(upper bound, how many were not above it)`."""

    count: int
    total_s: float
    buckets: tuple[tuple[float, float], ...] = ()

    @property
    def mean_s(self) -> float:
        """The mean, which is exact."""
        return self.total_s / self.count

    def at(self, part: float) -> float:
        """Return the seconds below which `part` of them lie, as well as buckets tell."""
        wanted, below, bound = part * self.count, 0.0, 0.0
        for upper, seen in self.buckets:
            if seen >= wanted:
                if math.isinf(upper):
                    return bound
                return bound + (upper - bound) * ((wanted - below) / (seen - below) if seen > below else 1.0)
            below, bound = seen, upper
        return bound


def parse(texts: Iterable[str]) -> Samples:
    """Add up what several processes say."""
    values: dict[tuple[str, Labels], float] = defaultdict(float)
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values[sample.name, tuple(sorted(sample.labels.items()))] += sample.value
    return Samples(dict(values))


@dataclass
class Scraper:
    """Reads the metrics of processes at some URLs. One that does not answer is named in `silent`."""

    client: httpx.AsyncClient
    urls: Sequence[str]
    silent: set[str] = field(default_factory=set)

    async def read(self, *, first_only: bool = False) -> Samples:
        """Read all, or the first alone: that of the door, which knows the state of all lanes."""
        urls = self.urls[:1] if first_only else self.urls
        return parse(text for text in await asyncio.gather(*map(self._get, urls)) if text)

    async def _get(self, url: str) -> str:
        try:
            reply = await self.client.get(url, timeout=5.0)
            reply.raise_for_status()
        except httpx.HTTPError:
            self.silent.add(url)
            return ""
        return reply.text
