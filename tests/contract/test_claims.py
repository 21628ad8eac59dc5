"""What every store of claims promises."""

import asyncio
from collections.abc import AsyncIterator
from math import inf

import pytest

from broker.core.admission import Permit
from broker.core.scope import key_scope
from broker.core.words import Family
from broker.ports.claims import Claim, Claims, Refusal
from tests.contract.adapters import CLAIMS
from tests.fakes import START

QUOTA = Permit(key_scope("openai", "openai/1", "aa"), Family.QUOTA)
ACCESS = Permit(key_scope("openai", "openai/1", "aa"), Family.ACCESS)


@pytest.fixture(params=CLAIMS)
async def claims(request: pytest.FixtureRequest) -> AsyncIterator[Claims]:
    async with CLAIMS[request.param]() as claims:
        yield claims


def slots_of(member: str, *, slots: int = 1, cap: int = 2, until: float = START + 300.0) -> Claim:
    return Claim("openai", member, "openai/1", slots=slots, cap=cap, slots_until=until)


def permits_of(member: str, *permits: Permit, until: float = START + 60.0) -> Claim:
    return Claim("openai", member, permits=permits, permits_until=until)


async def in_use(claims: Claims, now: float = START) -> int:
    return claims.slots_in_use("openai", "openai/1", now)


async def test_slots_are_taken_until_the_cap(claims: Claims) -> None:
    assert await claims.claim(slots_of("a", until=START + 20.0), START) is None
    assert await claims.claim(slots_of("b", until=START + 10.0), START) is None
    assert await claims.claim(slots_of("c"), START) == Refusal(None, START + 10.0)
    assert await in_use(claims) == 2


async def test_of_concurrent_claims_no_more_succeed_than_there_are_slots(claims: Claims) -> None:
    answers = await asyncio.gather(
        *(claims.claim(slots_of(f"m{n}", cap=7), START) for n in range(200))
    )
    assert answers.count(None) == 7


async def test_a_refusal_says_when_enough_slots_expire(claims: Claims) -> None:
    for number in range(3):
        until = START + 10.0 * (number + 1)
        await claims.claim(slots_of(f"m{number}", cap=3, until=until), START)
    assert await claims.claim(slots_of("x", slots=2, cap=3), START) == Refusal(None, START + 20.0)


async def test_more_slots_than_the_cap_are_never_free(claims: Claims) -> None:
    assert await claims.claim(slots_of("a", slots=3, cap=2), START) == Refusal(None, inf)


async def test_a_key_without_a_cap_has_slots_for_all(claims: Claims) -> None:
    for number in range(50):
        assert await claims.claim(slots_of(f"m{number}", cap=0), START) is None


async def test_a_repeat_by_the_same_member_takes_the_same_slots(claims: Claims) -> None:
    await claims.claim(slots_of("a", slots=2), START)
    assert await claims.claim(slots_of("a", slots=2), START) is None
    assert await in_use(claims) == 2


async def test_a_repeat_moves_the_expiry_and_never_shortens_it(claims: Claims) -> None:
    """The first answer's lease lives on whatever its repeat asked for."""
    await claims.claim(slots_of("a", until=START + 20.0), START)
    await claims.claim(slots_of("a", until=START + 50.0), START + 10.0)
    await claims.claim(slots_of("a", until=START + 15.0), START + 10.0)
    assert await in_use(claims, START + 49.0) == 1
    assert await in_use(claims, START + 50.0) == 0


async def test_a_repeat_keeps_its_slots_when_the_cap_was_lowered(claims: Claims) -> None:
    await claims.claim(slots_of("a", slots=2), START)
    assert await claims.claim(slots_of("a", slots=2, cap=1), START) is None


async def test_slots_come_back_by_themselves_when_they_expire(claims: Claims) -> None:
    await claims.claim(slots_of("a", slots=2, until=START + 5.0), START)
    assert await claims.claim(slots_of("b"), START + 4.9) is not None
    assert await claims.claim(slots_of("b"), START + 5.0) is None


async def test_released_slots_are_free_at_once(claims: Claims) -> None:
    await claims.claim(slots_of("a", slots=2), START)
    await claims.release_slots("openai", "openai/1", "a")
    await claims.release_slots("openai", "openai/1", "a")
    assert await in_use(claims) == 0
    assert await claims.claim(slots_of("b", slots=2), START) is None


async def test_releasing_for_an_unknown_member_frees_nothing(claims: Claims) -> None:
    await claims.claim(slots_of("a"), START)
    await claims.release_slots("openai", "openai/1", "nobody")
    await claims.release_slots("openai", "openai/unknown", "a")
    assert await in_use(claims) == 1


async def test_extending_moves_the_expiry_of_slots_still_held(claims: Claims) -> None:
    await claims.claim(slots_of("a", until=START + 10.0), START)
    await claims.extend(slots_of("a", until=START + 100.0), START + 9.0)
    await claims.extend(slots_of("a", until=START + 20.0), START + 9.0)
    assert await in_use(claims, START + 99.0) == 1


async def test_extending_never_takes_slots(claims: Claims) -> None:
    await claims.claim(slots_of("a", until=START + 10.0), START)
    await claims.extend(slots_of("a", until=START + 100.0), START + 10.0)
    await claims.extend(slots_of("stranger"), START)
    assert await in_use(claims, START + 10.0) == 0


async def test_slots_belong_to_one_key_of_one_provider(claims: Claims) -> None:
    await claims.claim(slots_of("a", slots=2), START)
    other_key = Claim("openai", "b", "openai/2", slots=2, cap=2, slots_until=START + 9.0)
    other_provider = Claim("azure", "b", "openai/1", slots=2, cap=2, slots_until=START + 9.0)
    assert await claims.claim(other_key, START) is None
    assert await claims.claim(other_provider, START) is None


async def test_a_permit_has_one_holder(claims: Claims) -> None:
    answers = await asyncio.gather(
        *(claims.claim(permits_of(f"m{n}", QUOTA), START) for n in range(200))
    )
    assert answers.count(None) == 1
    assert set(answers) == {None, Refusal(QUOTA, START + 60.0)}


async def test_a_repeat_keeps_its_permit(claims: Claims) -> None:
    await claims.claim(permits_of("a", QUOTA), START)
    assert await claims.claim(permits_of("a", QUOTA), START) is None


async def test_an_unused_permit_expires(claims: Claims) -> None:
    await claims.claim(permits_of("a", QUOTA), START)
    assert await claims.claim(permits_of("b", QUOTA), START + 59.9) is not None
    assert await claims.claim(permits_of("b", QUOTA), START + 60.0) is None


async def test_a_permit_is_given_back_by_its_holder_only(claims: Claims) -> None:
    await claims.claim(permits_of("a", QUOTA), START)
    await claims.release_permits((QUOTA, ACCESS), "b")
    assert await claims.claim(permits_of("b", QUOTA), START) is not None
    await claims.release_permits((QUOTA, ACCESS), "a")
    assert await claims.claim(permits_of("b", QUOTA), START) is None


async def test_a_late_release_does_not_take_the_permit_of_the_next_holder(claims: Claims) -> None:
    await claims.claim(permits_of("a", QUOTA), START)
    await claims.claim(permits_of("b", QUOTA, until=START + 120.0), START + 60.0)
    await claims.release_permits((QUOTA,), "a")
    assert await claims.claim(permits_of("c", QUOTA), START + 61.0) is not None


async def test_a_claim_takes_all_or_nothing(claims: Claims) -> None:
    await claims.claim(permits_of("a", ACCESS), START)
    both = Claim(
        "openai",
        "b",
        "openai/1",
        slots=1,
        cap=2,
        slots_until=START + 300.0,
        permits=(QUOTA, ACCESS),
        permits_until=START + 60.0,
    )
    assert await claims.claim(both, START) == Refusal(ACCESS, START + 60.0)
    assert await in_use(claims) == 0
    assert await claims.claim(permits_of("c", QUOTA), START) is None


async def test_permits_stay_free_when_slots_are_missing(claims: Claims) -> None:
    await claims.claim(slots_of("a", slots=2), START)
    both = Claim(
        "openai", "b", "openai/1", 1, 2, START + 300.0, permits=(QUOTA,), permits_until=START + 60.0
    )
    assert await claims.claim(both, START) == Refusal(None, START + 300.0)
    assert await claims.claim(permits_of("c", QUOTA), START) is None


async def test_a_thousand_dead_permits_do_not_hinder_the_living(claims: Claims) -> None:
    """Permits of revisions that are long gone expire where nobody asks for them again."""
    for number in range(1000):
        scope = key_scope("openai", f"openai/{number}", "aa")
        permit = Permit(scope, Family.QUOTA)
        claim = permits_of("a", permit, until=START + number + 1.0)
        assert await claims.claim(claim, START + number) is None
    assert await claims.claim(permits_of("a", QUOTA, until=START + 2000.0), START + 1000.0) is None
    assert await claims.claim(permits_of("b", QUOTA), START + 1001.0) is not None
