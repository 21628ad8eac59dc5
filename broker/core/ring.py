"""A consistent-hash ring: a conversation keeps its key while that key is usable."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from hashlib import blake2b

MAX_POINTS_PER_MEMBER = 40
TARGET_POINTS = 10_000
"""Points on a ring of many members: enough to spread, few enough to build in milliseconds."""


class Ring:
    """Members on a circle, each at points that its name decides, more of them for more weight."""

    def __init__(self, members: Sequence[tuple[str, float]]) -> None:
        share = TARGET_POINTS // max(len(members), 1)
        per_member = max(1, min(MAX_POINTS_PER_MEMBER, share))
        points = [
            (_point(f"{name}\x1f{replica}"), name)
            for name, weight in members
            for replica in range(max(1, round(per_member * min(weight, 4.0))))
        ]
        points.sort()
        self._points = [point for point, _ in points]
        self._names = [name for _, name in points]

    def walk(self, affinity_key: str, limit: int) -> Iterator[str]:
        """Distinct members clockwise from the affinity key's point, at most `limit`."""
        start = bisect_right(self._points, _point(affinity_key))
        seen: set[str] = set()
        for offset in range(len(self._names)):
            name = self._names[(start + offset) % len(self._names)]
            if name in seen:
                continue
            seen.add(name)
            yield name
            if len(seen) >= limit:
                return


def _point(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
