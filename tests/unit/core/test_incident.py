"""Keys that are rejected together are one incident."""

from collections.abc import Sequence

from broker.core.incident import IN_USE_S, TOGETHER_S, KeyUse, is_over
from tests.unit.core.given import NOW


def use_of(*key_ids: str) -> KeyUse:
    """Keys leased at NOW."""
    use = KeyUse()
    for key_id in key_ids:
        use.note_used("SYSTEM", key_id, NOW)
    return use


def rejected(
    use: KeyUse, owner_class: str, key_id: str, now: float, beside: Sequence[str] = ()
) -> tuple[str, ...]:
    """The keys of the incident that a rejection completes, or none."""
    use.note_rejected(owner_class, key_id, now)
    return use.together(owner_class, now, beside)


def test_a_lone_rejected_key_is_an_incident() -> None:
    assert rejected(use_of("k1"), "SYSTEM", "k1", NOW) == ("k1",)
    assert rejected(KeyUse(), "SYSTEM", "k1", NOW) == ("k1",)


def test_half_of_the_keys_in_use_make_an_incident() -> None:
    use = use_of("k1", "k2", "k3", "k4")
    assert rejected(use, "SYSTEM", "k2", NOW) == ()
    assert rejected(use, "SYSTEM", "k1", NOW + 1.0) == ("k1", "k2")


def test_rejections_a_minute_apart_do_not_belong_together() -> None:
    use = use_of("k1", "k2", "k3", "k4")
    use.note_rejected("SYSTEM", "k1", NOW)
    assert rejected(use, "SYSTEM", "k2", NOW + TOGETHER_S + 1.0) == ()


def test_keys_that_nobody_used_lately_do_not_count() -> None:
    use = use_of("k1", "k2", "k3", "k4")
    at = NOW + IN_USE_S + 1.0
    use.note_used("SYSTEM", "k1", at)
    assert rejected(use, "SYSTEM", "k1", at) == ("k1",)


def test_a_healed_rejection_no_longer_counts() -> None:
    use = use_of("k1", "k2", "k3", "k4")
    use.note_rejected("SYSTEM", "k1", NOW)
    use.note_healed("SYSTEM", "k1")
    use.note_healed("tenants", "k9")
    assert rejected(use, "SYSTEM", "k2", NOW + 1.0) == ()


def test_owner_classes_are_judged_apart() -> None:
    use = use_of("k1", "k2", "k3")
    use.note_used("tenants", "t1", NOW)
    assert rejected(use, "tenants", "t1", NOW) == ("t1",)
    assert rejected(use, "SYSTEM", "k1", NOW) == ()


def test_an_incident_is_over_when_fewer_than_half_of_its_keys_are_rejected() -> None:
    assert not is_over(["k1", "k2"], {"k1"})
    assert is_over(["k1", "k2"], {"k3"})
    assert is_over(["k1", "k2", "k3"], {"k1"})


def test_keys_that_count_as_in_use_are_judged_beside_those_that_were_used() -> None:
    use = KeyUse()
    use.note_used("SYSTEM", "a", NOW)
    assert rejected(use, "SYSTEM", "a", NOW, ["b", "c"]) == ()
    assert rejected(use, "SYSTEM", "b", NOW, ["b", "c"]) == ("a", "b")


def test_keys_are_in_use_for_ten_minutes_after_the_last_time() -> None:
    use = KeyUse()
    for key_id in "abc":
        use.note_used("SYSTEM", key_id, NOW)
    use.note_used("SYSTEM", "a", NOW + 1)
    assert use.used("SYSTEM", NOW + 600) == {"a", "b", "c"}
    assert use.used("SYSTEM", NOW + 601) == {"a"}
    assert use.used("TENANT", NOW) == set()
