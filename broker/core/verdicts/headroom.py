"""How near a key is to its limits, read from the headers of answers that succeeded."""

import re
from collections.abc import Mapping

from broker.core.verdicts.dialect import Dialect

_AMOUNT = re.compile(r"\d{1,15}(?:\.\d{1,20})?", re.ASCII)


def headroom(dialect: Dialect, headers: Mapping[str, str]) -> float | None:
    """The smallest share (0..1) left of any limit that `headers` tell about; None when unknown."""
    smallest = None
    for pair in dialect.limits:
        remaining = headers.get(pair.remaining)
        if remaining is None:
            continue
        share = _share(remaining, headers.get(pair.limit, ""))
        if share is not None and (smallest is None or share < smallest):
            smallest = share
    return smallest


def _share(remaining: str, limit: str) -> float | None:
    left, whole = _AMOUNT.fullmatch(remaining.strip()), _AMOUNT.fullmatch(limit.strip())
    if left is None or whole is None:
        return None
    most = float(whole.group())
    return min(float(left.group()) / most, 1.0) if most > 0.0 else None
