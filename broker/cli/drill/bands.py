"""What the picture of a drill shows, as numbers: bands, bars and marks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from broker.cli.drill.reckoning import BOGUS
from broker.cli.drill.record import Deed, Record, Result, What

QUARANTINED: Final = "quarantined"
"""How a revision in use is shown while the key is quarantined."""


@dataclass(frozen=True, slots=True)
class Band:
    """How one replica had a revision, from `at` `until` then."""

    revision: str
    replica: str
    stage: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one moment."""

    at: float
    label: str
    is_trouble: bool = False


def end_of(record: Record) -> float:
    """When the last thing happened."""
    ends = [call.until for call in record.calls] + [deed.until for deed in record.deeds]
    return max(ends, default=1.0)


def bands(record: Record) -> Iterator[Band]:
    """The revisions' states, of each replica by itself; none while it did not answer."""
    end = end_of(record)
    for replica in record.setup.replicas:
        views = [view for view in record.views if view.replica == replica]
        ends = [view.at for view in views[1:]] + [end]
        for view, until in zip(views, ends, strict=False):
            for revision, stage in view.stages.items():
                is_bad = stage == "in_use" and view.state == QUARANTINED
                shown = QUARANTINED if is_bad else stage
                yield Band(revision, replica, shown, view.at, until)


def revisions(record: Record) -> dict[str, str]:
    """Every revision in the order in which they came, with the role of its secret."""
    roles = {d.revision: d.secret for d in record.deeds if d.what is What.PUT}
    found = dict.fromkeys(b.revision for b in sorted(bands(record), key=lambda b: b.at))
    return {revision: roles.get(revision, "first") for revision in found}


def rates(record: Record, group: str, width_s: float) -> dict[Result, list[float]]:
    """Calls a second of a group by what they came to, in whole bins of this width."""
    size = int(end_of(record) / width_s)
    counted = {result: [0.0] * size for result in Result}
    for call in record.calls:
        if call.group == group and call.at < size * width_s:
            counted[call.result][int(call.at / width_s)] += 1 / width_s
    return counted


def marks(record: Record) -> list[Mark]:
    """What was done, and what the brokers made of it the first time, in their order."""
    done = [mark for deed in record.deeds if (mark := _done(deed)) is not None]
    told: dict[tuple[str, str], Mark] = {}
    for event in record.told:
        label = _TOLD.get(event.kind, "")
        if event.attributes.get("family") == "credential" and event.attributes.get("to") == "open":
            label = "quarantined"
        # A bogus revision is quarantined too: that it was rejected says it all.
        is_known = (event.revision, "rejected") in told or event.revision in _bogus(record)
        if label == "quarantined" and is_known:
            continue
        if label and event.revision:
            mark = Mark(event.at, label, is_trouble=label != "adopted")
            told.setdefault((event.revision, label), mark)
    return sorted([*done, *told.values()], key=lambda mark: mark.at)


def spread(places: list[float], apart: float) -> list[float]:
    """Places for labels: in the same order, at least so far apart, and near to where they were."""
    return list(accumulate(places, lambda before, place: max(place, before + apart)))


_TOLD: Final = {"revision_rejected": "rejected", "revision_adopted": "adopted"}


def _bogus(record: Record) -> set[str]:
    return {deed.revision for deed in record.deeds if deed.secret == BOGUS}


def _done(deed: Deed) -> Mark | None:
    match deed.what:
        case What.PUT:
            is_bogus = deed.secret == BOGUS
            return Mark(
                deed.until, f"{'bogus' if is_bogus else 'good'} secret", is_trouble=is_bogus
            )
        case What.REVOKE:
            return Mark(deed.until, "revoked", is_trouble=True)
        case What.RESTART:
            return Mark(deed.at, f"{deed.replica} restarts")
        case What.STORY:
            return None
