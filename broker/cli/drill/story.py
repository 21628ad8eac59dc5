"""The stories: what is done to the key, while callers call."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from broker.cli.drill.fleet import Fleet, Replica
from broker.cli.drill.outlook import Outlook
from broker.cli.drill.plan import PROVIDER, Plan
from broker.cli.drill.reckoning import BOGUS, DEAD, GOOD, STORIES
from broker.cli.drill.record import Deed, Recorder, Result, What
from broker.cli.drill.traffic import Traffic
from broker.cli.exits import CommandError, Exit

PATIENCE_S: Final = 20.0
"""How long to wait for what has to follow; then the drill goes on, and the report says so."""

WARM: Final = 5
"""Served calls of each group before the first story."""


def new_secret() -> str:
    """A secret, which no provider has issued yet."""
    return f"drill-{secrets.token_hex(16)}"


@dataclass(slots=True)
class Story:
    """Plays the stories one after the other; `current` is the secret that works."""

    plan: Plan
    fleet: Fleet
    outlook: Outlook
    traffic: Traffic
    recorder: Recorder
    current: str
    on_act: Callable[[str, str], None]
    _story: str = field(default="", init=False)

    async def play(self) -> None:
        """Play those that the plan names. Raises CommandError when not one call is served."""
        acts = {"a": self._bogus_pushed, "b": self._restarted, "c": self._revoked}
        self.on_act("Healthy", "One system key serves all but the tenant that has its own.")
        if not await self.outlook.until(self._is_warm, PATIENCE_S):
            raise CommandError(Exit.FAILED, "the drill broke off: the fleet serves no calls")
        await self._look()
        for name in self.plan.stories:
            await self._played(name, acts[name])
        self._story = ""

    async def _played(self, name: str, act: Callable[[], Awaitable[None]]) -> None:
        self._story, at = name, self.recorder.now()
        await act()
        self.recorder.write(Deed(at, self.recorder.now(), What.STORY, name))

    async def _bogus_pushed(self) -> None:
        self._act("A bogus secret is put into Secrets Manager: nobody may notice.")
        await self._push_bogus()
        await self._look()
        await self._push_good()
        await self._look()

    async def _restarted(self) -> None:
        self._act("A bogus secret is put into Secrets Manager, and then every replica restarted.")
        await self._push_bogus()
        for replica in self.fleet.replicas.values():
            self._act(f"{replica.name} is restarted while the secret is bogus.")
            await self._restart(replica)
            await self._look(0.5)
        self._act("The good secret is put into Secrets Manager.")
        await self._push_good()
        await self._look()

    async def _revoked(self) -> None:
        self._act("The provider rejects the key from now on.")
        at = self.recorder.now()
        await self.fleet.providers.revoke([self.current])
        self._note(What.REVOKE, at, DEAD, self.current)
        await asyncio.sleep(self.plan.outage_s)
        self._act("A good secret is put into Secrets Manager. Nobody restarts anything.")
        await self._push_good()
        await self._look()

    async def _push_bogus(self) -> None:
        bogus = new_secret()
        await self._put(BOGUS, bogus)
        revision = self.fleet.revision(bogus)
        await self._wait(lambda: self.outlook.is_told("revision_rejected", revision))

    async def _push_good(self) -> None:
        good = new_secret()
        await self.fleet.providers.issue(PROVIDER, good)
        await self._put(GOOD, good)
        self.current = good
        revision = self.fleet.revision(good)
        await self._wait(lambda: self.outlook.is_in_use(revision))

    async def _put(self, role: str, secret: str) -> None:
        at = self.recorder.now()
        await self.fleet.shelf.put(secret)
        self._note(What.PUT, at, role, secret)

    async def _restart(self, replica: Replica) -> None:
        at = self.recorder.now()
        await replica.restart()
        done = self.recorder.now()
        self.recorder.write(Deed(at, done, What.RESTART, self._story, replica=replica.name))

    def _note(self, what: What, at: float, role: str, secret: str) -> None:
        revision = self.fleet.revision(secret)
        self.recorder.write(Deed(at, self.recorder.now(), what, self._story, role, revision))

    def _act(self, text: str) -> None:
        self.on_act(STORIES[self._story], text)

    def _is_warm(self) -> bool:
        return all(counts[Result.SERVED] >= WARM for counts in self.traffic.counts.values())

    async def _wait(self, is_true: Callable[[], bool]) -> None:
        await self.outlook.until(is_true, PATIENCE_S + self.plan.poll_s)

    async def _look(self, share: float = 1.0) -> None:
        """Let it be seen for a while."""
        await asyncio.sleep(self.plan.pace_s * share)
