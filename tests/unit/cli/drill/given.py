"""Records of drills, made by hand: two replicas, and stories that go as they should."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from broker.cli.drill.figures import Figure, Finding
from broker.cli.drill.reckoning import BOGUS, DEAD, GOOD, reckon
from broker.cli.drill.record import (
    GROUPS,
    OWN_KEY,
    Call,
    Deed,
    Entry,
    Record,
    Result,
    Setup,
    Told,
    Try,
    View,
    What,
)

REPLICAS = ("replica-1", "replica-2")
FIRST, BAD, NEXT = "aa11", "bb22", "cc33"

SETUP = Setup(
    at=0.0,
    began="2026-05-04T03:02:01+00:00",
    options={"poll_s": 1.0},
    replicas=REPLICAS,
    key_id="openai/default",
    environment={"Python": "3.11", "database": "PostgreSQL 15.4"},
)


def call(
    at: float,
    group: str,
    replica: str,
    revision: str,
    *,
    until: float | None = None,
    status: int | None = 200,
    denial: str = "QUARANTINED",
) -> Call:
    """A call that got a lease; a refused one learns from its report that there is no other key."""
    end = at + 0.1 if until is None else until
    provenance = "tenant" if group == OWN_KEY else "system"
    used = "own1" if group == OWN_KEY else revision
    tried = Try(replica, used, provenance, at, at + 0.01, end - 0.01, status)
    result = Result.SERVED if status == 200 else Result.FAILED
    if result is Result.SERVED:
        return Call(at, end, group, result, tries=(tried,))
    return Call(at, end, group, result, f"HTTP {status}", denial, (tried,))


def denied(at: float, group: str, reason: str = "QUARANTINED") -> Call:
    """A call for which there was no key."""
    return Call(at, at + 0.01, group, Result.DENIED, denial=reason)


def calls(since: float, until: float, revision: str) -> Iterator[Call]:
    """Ten calls a second of each group, by the replicas in turn."""
    for step in range(round(since * 10), round(until * 10)):
        for number, group in enumerate(GROUPS):
            yield call(step / 10, group, REPLICAS[(step + number) % 2], revision)


def told(at: float, kind: str, revision: str, **attributes: str) -> Told:
    """An event about a revision."""
    given = {"revision": revision, **attributes}
    return Told(at, f"{kind}-{at}-{revision}", kind, f"{kind} of {revision}", attributes=given)


def opened(at: float, revision: str) -> Told:
    """The event of a quarantine."""
    return told(at, "circuit_opened", revision, family="credential", to="open")


def bogus_story() -> list[Entry]:
    """Story a: from 10 to 20; the bogus secret comes at 11 and the good one at 15."""
    return [
        SETUP,
        Deed(10.0, 20.0, What.STORY, "a"),
        Deed(10.9, 11.0, What.PUT, "a", BOGUS, BAD),
        told(12.0, "revision_rejected", BAD),
        Deed(14.9, 15.0, What.PUT, "a", GOOD, NEXT),
        told(16.0, "revision_adopted", NEXT, elapsed_s="0.4"),
        *calls(10.0, 16.0, FIRST),
        *calls(16.0, 19.0, NEXT),
        View(10.0, "replica-1", "healthy", {FIRST: "in_use"}),
        View(16.0, "replica-1", "healthy", {NEXT: "in_use", FIRST: "draining"}),
    ]


def restart_story() -> list[Entry]:
    """Story b: as story a, with restarts of 1.5 s in between."""
    restarts = [
        Deed(12.5 + number, 14.0 + number, What.RESTART, "b", replica=name)
        for number, name in enumerate(REPLICAS)
    ]
    moved = [replace(e, story="b") if isinstance(e, Deed) else e for e in bogus_story()]
    return [*moved, *restarts]


def revoked_story() -> list[Entry]:
    """Story c: from 10 to 20; revoked at 11, told at 11.3, good at 15, served again at 16.5."""
    others = [group for group in GROUPS if group != OWN_KEY]
    return [
        SETUP,
        Deed(10.0, 20.0, What.STORY, "c"),
        Deed(10.9, 11.0, What.REVOKE, "c", DEAD, FIRST),
        *calls(10.0, 11.0, FIRST),
        call(11.1, others[0], "replica-1", FIRST, until=11.32, status=401),
        call(11.2, others[1], "replica-2", FIRST, until=11.4, status=401),
        opened(11.3, FIRST),
        *(denied(11.5 + step / 10, group) for step in range(50) for group in others),
        Deed(14.9, 15.0, What.PUT, "c", GOOD, NEXT),
        told(16.4, "revision_adopted", NEXT, elapsed_s="0.4"),
        *(call(step / 10, OWN_KEY, "replica-1", "") for step in range(110, 200)),
        *(c for c in calls(16.5, 19.9, NEXT) if c.group != OWN_KEY),
    ]


def finding(entries: Sequence[Entry]) -> Finding:
    """What came of the one story in a record."""
    [found] = reckon(Record.of(entries))
    return found


def figure(entries: Sequence[Entry], name: str) -> Figure:
    """One figure of the one story in a record."""
    [found] = [each for each in finding(entries).figures if each.name == name]
    return found
