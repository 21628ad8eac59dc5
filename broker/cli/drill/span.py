"""The part of a record that belongs to one story, and the questions that it answers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from broker.cli.drill.figures import Counts
from broker.cli.drill.record import GROUPS, OWN_KEY, Call, Deed, Record, Result, Told, Try, What

REFUSED = 400
"""From this HTTP status on the provider did not do what it was asked."""


@dataclass(frozen=True, slots=True)
class Span:
    """What happened from a story's beginning to its end; calls belong where they were asked."""

    story: Deed
    calls: tuple[Call, ...]
    deeds: tuple[Deed, ...]
    told: tuple[Told, ...]
    replicas: tuple[str, ...]

    @classmethod
    def of(cls, record: Record, story: Deed) -> "Span":
        """The span of a story."""

        def is_within(at: float) -> bool:
            return story.at <= at <= story.until

        return cls(
            story,
            tuple(call for call in record.calls if is_within(call.at)),
            tuple(deed for deed in record.deeds if deed.story == story.story and deed != story),
            tuple(told for told in record.told if is_within(told.at)),
            record.setup.replicas,
        )

    def deed(self, what: What, secret: str) -> Deed | None:
        """What was done with a secret, the first time."""
        return next((d for d in self.deeds if d.what is what and d.secret == secret), None)

    def unserved(self, *groups: str) -> list[Call]:
        """The calls of some groups, or all, that were not served."""
        wanted = groups or GROUPS
        return [c for c in self.calls if c.group in wanted and c.result is not Result.SERVED]

    def tries(self, revision: str) -> Iterator[tuple[Call, Try]]:
        """The leases on a revision, with their calls."""
        return ((c, t) for c in self.calls for t in c.tries if revision and t.revision == revision)

    def refusals(self, revision: str) -> list[tuple[Call, Try]]:
        """The calls that the provider refused on a revision, the first report first."""
        found = (
            (call, each)
            for call, each in self.tries(revision)
            if each.status is not None and each.status >= REFUSED
        )
        return sorted(found, key=lambda pair: pair[0].until)

    def events(self, kind: str, revision: str) -> list[Told]:
        """The events of one kind about a revision."""
        return [e for e in self.told if e.kind == kind and revision and e.revision == revision]

    def quarantined(self, revision: str) -> Told | None:
        """The event with which a revision came into quarantine."""
        return next(
            (
                told
                for told in self.told
                if revision
                and told.revision == revision
                and told.attributes.get("family") == "credential"
                and told.attributes.get("to") == "open"
            ),
            None,
        )

    def refetched_at(self, revision: str) -> float | None:
        """When the first replica had read a new secret."""
        read = [
            told.at - float(told.attributes["elapsed_s"])
            for told in self.events("revision_adopted", revision)
            if "elapsed_s" in told.attributes
        ]
        return min(read, default=None)

    def leased_everywhere_at(self, revision: str) -> float | None:
        """When the last replica began to lease a revision."""
        first: dict[str, float] = {}
        for _, each in self.tries(revision):
            first[each.replica] = min(each.at, first.get(each.replica, each.at))
        return max(first.values()) if set(self.replicas) <= set(first) else None

    def strangers(self) -> int:
        """Leases on a key of somebody else: a tenant's own where it should be, and only there."""
        return sum(
            each.provenance != ("tenant" if call.group == OWN_KEY else "system")
            for call in self.calls
            for each in call.tries
        )

    def counts(self) -> dict[str, Counts]:
        """What the calls of each group came to."""
        return {group: _counts(c for c in self.calls if c.group == group) for group in GROUPS}


def _counts(calls: Iterable[Call]) -> Counts:
    results = [call.result for call in calls]
    return Counts(**{str(result): results.count(result) for result in Result})
