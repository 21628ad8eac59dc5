"""A caller who leaves while the store is slow leaves nothing behind."""

import asyncio

from broker.adapters.memory import MemoryClaims
from broker.core.admission import Permit
from broker.core.outcome import Outcome
from tests.fakes import settle
from tests.unit.services.house import a_house
from tests.unit.services.status_given import a_key

NO_MONEY = Outcome(http_status=429, body=b'{"code": "no-money"}', started_ago_s=0.0)
PROVED_NOTHING = Outcome(http_status=400, interim=True, started_ago_s=0.0)


class SlowClaims(MemoryClaims):
    """Claims in a store that one has to wait for; `asked` once a permit is to come back."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def release_permits(self, permits: tuple[Permit, ...], member: str) -> None:
        self.asked.set()
        await asyncio.sleep(0)
        await super().release_permits(permits, member)


async def test_an_interim_report_whose_caller_left_kept_the_permit_of_its_trial() -> None:
    claims = SlowClaims()
    house = await a_house(a_key("openai/1"), claims=claims)
    await house.call(NO_MONEY)
    house.clock.advance(3600.0)
    trial = await house.lease()
    assert trial.claims.is_trial
    reporting = asyncio.ensure_future(house.report(trial, PROVED_NOTHING))
    await claims.asked.wait()
    reporting.cancel()
    await asyncio.gather(reporting, return_exceptions=True)
    assert reporting.cancelled()
    await settle()
    assert (await house.lease()).claims.is_trial
