"""Every store of claims against a model of a few lines, over random histories."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.admission import Permit
from broker.core.scope import key_scope
from broker.core.words import Family
from broker.ports.claims import Claim
from tests.contract.adapters import CLAIMS, MakeClaims
from tests.fakes import START

PROVIDER, KEY = "openai", "openai/1"
PERMITS = tuple(
    Permit(key_scope(PROVIDER, KEY, "aa"), family) for family in (Family.QUOTA, Family.ACCESS)
)

members = st.sampled_from("abcd")
permit_sets = st.sets(st.sampled_from(PERMITS)).map(tuple)
steps = st.one_of(
    st.tuples(st.just("claim"), members, st.integers(0, 3), permit_sets, st.integers(1, 20)),
    st.tuples(st.just("extend"), members, st.just(1), st.just(()), st.integers(1, 20)),
    st.tuples(st.just("release"), members, st.just(0), permit_sets, st.just(0)),
    st.tuples(st.just("wait"), st.just(""), st.just(0), st.just(()), st.integers(1, 10)),
)


@dataclass
class Model:
    """Who holds what until when, with nothing clever about it."""

    cap: int
    slots: dict[str, tuple[int, float]] = field(default_factory=dict)
    permits: dict[Permit, tuple[str, float]] = field(default_factory=dict)

    def expire(self, now: float) -> None:
        self.slots = {m: held for m, held in self.slots.items() if held[1] > now}
        self.permits = {p: held for p, held in self.permits.items() if held[1] > now}

    def in_use(self) -> int:
        return sum(count for count, _ in self.slots.values())

    def claim(self, claim: Claim) -> bool:
        if any(self.permits.get(p, (claim.member, 0))[0] != claim.member for p in claim.permits):
            return False
        own, until = self.slots.get(claim.member, (0, 0.0))
        if claim.slots > own and self.in_use() - own + claim.slots > self.cap:
            return False
        if claim.slots:
            self.slots[claim.member] = (claim.slots, max(until, claim.slots_until))
        for permit in claim.permits:
            held_until = self.permits.get(permit, ("", 0.0))[1]
            self.permits[permit] = (claim.member, max(held_until, claim.permits_until))
        return True

    def extend(self, claim: Claim) -> None:
        if claim.member in self.slots:
            count, until = self.slots[claim.member]
            self.slots[claim.member] = (count, max(until, claim.slots_until))

    def release(self, claim: Claim) -> None:
        self.slots.pop(claim.member, None)
        for permit in claim.permits:
            if self.permits.get(permit, ("",))[0] == claim.member:
                del self.permits[permit]


@pytest.mark.parametrize("make", CLAIMS.values(), ids=CLAIMS)
@given(cap=st.integers(1, 4), history=st.lists(steps, max_size=40))
async def test_claims_never_exceed_the_cap_and_agree_with_the_model(
    make: MakeClaims, cap: int, history: list[tuple[str, str, int, tuple[Permit, ...], int]]
) -> None:
    """Grants, refusals and slots in use are the model's after every step."""
    now, model = START, Model(cap)
    async with make() as claims:
        for step, member, slots, permits, seconds in history:
            until = now + seconds
            claim = Claim(PROVIDER, member, KEY, slots, cap, until, permits, until)
            model.expire(now)
            if step == "claim":
                refusal = await claims.claim(claim, now)
                assert (refusal is None) == model.claim(claim)
                assert refusal is None or refusal.free_at > now
            elif step == "extend":
                await claims.extend(claim, now)
                model.extend(claim)
            elif step == "release":
                await claims.release_slots(PROVIDER, KEY, member)
                await claims.release_permits(permits, member)
                model.release(claim)
            else:
                now += seconds
                model.expire(now)
            assert claims.slots_in_use(PROVIDER, KEY, now) == model.in_use() <= cap
