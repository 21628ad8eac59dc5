"""From a record to figures: pure, and the only place that knows what is promised."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from broker.cli.drill.figures import Figure, Finding
from broker.cli.drill.record import OWN_KEY, SYSTEM, UNTENANTED, Call, Deed, Record, Result, What
from broker.cli.drill.span import Span

BOGUS: Final = "bogus"
GOOD: Final = "good"
DEAD: Final = "dead"
"""The roles of secrets: one that never worked, one that does, one that did."""

QUARANTINED: Final = "QUARANTINED"
"""The denial of who asks for a key that is."""

RECOVERY_S: Final = 2.0
OTHERS_S: Final = 1.0

STORIES: Final[Mapping[str, str]] = {
    "a": "A bogus secret is pushed over a working one",
    "b": "Replicas are restarted one by one on a bogus secret",
    "c": "The key is revoked at the provider, and replaced a little later",
}


def reckon(record: Record) -> list[Finding]:
    """What came of each story that was played to its end."""
    played = [deed for deed in record.deeds if deed.what is What.STORY]
    return [_finding(record, deed) for deed in played if deed.story in _FIGURES]


def _finding(record: Record, story: Deed) -> Finding:
    span = Span.of(record, story)
    poll_s = float(record.setup.options.get("poll_s", 0.0))
    asked = Figure("calls", "calls in all", len(span.calls), at_least=1)
    figures = (asked, *_FIGURES[story.story](span, poll_s), _strangers(span))
    return Finding(story.story, story.at, story.until, figures, span.counts())


def _bogus_pushed(span: Span, poll_s: float) -> Iterable[Figure]:
    put = span.deed(What.PUT, BOGUS)
    bogus = put.revision if put else ""
    rejected = span.events("revision_rejected", bogus)
    yield _unserved("not_served", "calls that were not served", span.unserved())
    yield _leases_on("leases_on_bogus", "leases on the bogus secret", span, bogus)
    yield Figure(
        *("rejections_told", "events revision_rejected of it", len(rejected)),
        at_most=1,
        at_least=1,
    )
    told_at = rejected[0].at if rejected else None
    yield Figure("rejected_s", "bogus secret readable → rejected", _since(put, told_at), "s")
    yield from _mended(span, poll_s)


def _restarted(span: Span, poll_s: float) -> Iterable[Figure]:
    restarts = [deed for deed in span.deeds if deed.what is What.RESTART]
    bogus = next((deed.revision for deed in span.deeds if deed.secret == BOGUS), "")
    count = len({deed.replica for deed in restarts})
    yield Figure("restarted", "replicas restarted", count, at_least=len(span.replicas))
    yield _unserved("not_served", "calls that were not served", span.unserved())
    yield _leases_on("leases_on_bogus", "leases on the bogus secret", span, bogus)
    longest = max((deed.until - deed.at for deed in restarts), default=None)
    yield Figure("restart_s", "longest restart, SIGTERM → ready", longest, "s")
    slowest = max((call.until - call.at for call in span.calls), default=None)
    yield Figure("slowest_s", "slowest call, as its caller saw it", slowest, "s")
    yield from _mended(span, poll_s)


def _revoked(span: Span, _poll_s: float) -> Iterable[Figure]:
    revoked = span.deed(What.REVOKE, DEAD)
    dead = revoked.revision if revoked else ""
    refusals = span.refusals(dead)
    first_at = refusals[0][1].until if refusals else None
    quarantined = span.quarantined(dead)
    open_at = quarantined.at if quarantined else None
    yield Figure("first_failure_s", "revoked → first failed call", _since(revoked, first_at), "s")
    yield Figure(
        *("quarantine_s", "revoked → quarantined", _since(revoked, open_at), "s"), elsewhere="86 s"
    )
    # Its report's answer says so: there is no further key.
    known = [number for number, (call, _) in enumerate(refusals, 1) if call.denial == QUARANTINED]
    yield Figure(
        *("detected_at_call", "failed call at which it was quarantined", min(known, default=None)),
        at_most=1,
        at_least=1,
    )
    yield from _further_leases(span, dead)
    yield from _outage(span)
    yield from _recovery(span, revoked)
    yield _unserved(
        "own_key_not_served",
        "calls of the tenant with its own key that were not served",
        span.unserved(OWN_KEY),
    )


def _further_leases(span: Span, dead: str) -> Iterable[Figure]:
    """Leases on the dead key that were asked for when its death was known, here or elsewhere."""
    heard: dict[str, float] = {}
    for call, each in span.refusals(dead):
        heard.setdefault(each.replica, call.until)
    first = min(heard.values(), default=None)
    further = [each for _, each in span.tries(dead) if first is not None and each.asked > first]
    for replica in span.replicas:
        own = sum(
            each.replica == replica and replica in heard and each.asked > heard[replica]
            for each in further
        )
        label = f"leases on the dead key by {replica}, after it was told"
        yield Figure(f"further_leases_{replica}", label, own, at_most=0)
    last = max((each.at - (first or 0.0) for each in further), default=0.0)
    label = "last lease on it by any replica, after the first report"
    yield Figure("last_lease_s", label, None if first is None else last, "s", at_most=OTHERS_S)


def _outage(span: Span) -> Iterable[Figure]:
    """What those without a key of their own saw meanwhile."""
    unserved = span.unserved(SYSTEM, UNTENANTED)
    failed = sum(call.result is Result.FAILED for call in unserved)
    denied = [call for call in unserved if call.result is Result.DENIED]
    others = sum(call.denial != QUARANTINED for call in denied)
    broken = [call for call in unserved if call.result is Result.BROKEN]
    yield Figure("failed_at_provider", "calls that failed at the provider", failed)
    yield Figure("denied", "calls denied while there was no key", len(denied))
    yield Figure(
        *("denied_otherwise", "of these for another reason than QUARANTINED", others), at_most=0
    )
    yield _unserved("broken", "calls that failed in any other way", broken)


def _recovery(span: Span, revoked: Deed | None) -> Iterable[Figure]:
    put = span.deed(What.PUT, GOOD)
    read_at = span.refetched_at(put.revision if put else "")
    yield Figure("refetch_s", "good secret readable → read by a replica", _since(put, read_at), "s")
    ended = None if put is None else _served_again_at(span)
    label = "good secret readable → every call served again"
    yield Figure("recovery_s", label, _since(put, ended), "s", at_most=RECOVERY_S)
    whole = None if revoked is None or ended is None else ended - revoked.at
    yield Figure("outage_s", "revoked → every call served again", whole, "s", elsewhere="4 min")


def _served_again_at(span: Span) -> float | None:
    """When each group without a key of its own is served, and never again refused."""
    ends = []
    for group in (SYSTEM, UNTENANTED):
        last = max((call.at for call in span.unserved(group)), default=span.story.at)
        after = [c.until for c in span.calls if c.group == group and c.at > last]
        if not after:
            return None
        ends.append(min(after))
    return max(ends)


def _mended(span: Span, poll_s: float) -> Iterable[Figure]:
    """The good secret is put in place of the bogus one: it is read when its time comes."""
    put = span.deed(What.PUT, GOOD)
    adopted_at = span.leased_everywhere_at(put.revision if put else "")
    label = "good secret readable → leased by every replica"
    yield Figure(
        *("adopted_s", label, _since(put, adopted_at), "s"),
        at_most=round(poll_s * 1.1 + RECOVERY_S, 1),
    )


def _unserved(name: str, label: str, calls: list[Call]) -> Figure:
    return Figure(name, label, len(calls), at_most=0)


def _leases_on(name: str, label: str, span: Span, revision: str) -> Figure:
    return Figure(name, label, sum(1 for _ in span.tries(revision)), at_most=0)


def _strangers(span: Span) -> Figure:
    return Figure("strangers", "calls with a key of somebody else", span.strangers(), at_most=0)


def _since(deed: Deed | None, at: float | None) -> float | None:
    """Seconds from when something was done; what was over by then took none."""
    return None if deed is None or at is None else max(at - deed.until, 0.0)


_FIGURES: Final[Mapping[str, Callable[[Span, float], Iterable[Figure]]]] = {
    "a": _bogus_pushed,
    "b": _restarted,
    "c": _revoked,
}
