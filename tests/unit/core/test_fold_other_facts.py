"""Facts that move no circuit: counts, incidents and announcements."""

from dataclasses import replace

from broker.core.facts import IncidentChanged, MarkAnnounced, UpstreamCounted
from broker.core.health import CountKey, Counts, Incident
from tests.unit.core.given import NOW, PROVIDER, UPSTREAM, Story


def test_counts_add_up_by_second() -> None:
    story = Story()
    counted = UpstreamCounted(
        fact_id="c1",
        provider=PROVIDER,
        replica="a",
        upstream=UPSTREAM,
        principal="gateway",
        second=7,
        succeeded=3,
        failed=2,
    )
    story.tell(counted)
    story.tell(replace(counted, fact_id="c2", succeeded=0, failed=-1, unreachable=1))
    sums = dict(story.health.published_counts())
    assert sums == {CountKey(UPSTREAM, "a", "gateway", 7): Counts(3, 1, 1)}


def test_an_incident_begins_and_ends_without_moving_a_circuit() -> None:
    story = Story()
    begun = IncidentChanged(
        fact_id="i1",
        provider=PROVIDER,
        replica="a",
        owner_class="SYSTEM",
        key_ids=("k1", "k2"),
        opened=True,
    )
    assert story.tell(begun, age_s=2.0) == []
    assert story.health.incident("SYSTEM") == Incident("SYSTEM", ("k1", "k2"), NOW - 2.0)
    story.tell(replace(begun, fact_id="i2", opened=False))
    assert story.health.incident("SYSTEM") is None


def test_an_announced_mark_is_only_a_hint_to_read_it() -> None:
    story = Story()
    mark = MarkAnnounced(
        fact_id="m1",
        provider=PROVIDER,
        replica="a",
        mark="disabled",
        subject="k1",
        principal="operator",
    )
    assert story.tell(mark) == []
    assert story.health.is_calm()
