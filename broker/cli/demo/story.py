"""The story: what happens to the keys, and what has to follow from it."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from broker.cli.demo.outlook import Outlook
from broker.cli.demo.providers import MODELS
from broker.cli.demo.stage import Stage
from broker.cli.demo.tally import Group, Milestone, Tally
from broker.cli.exits import CommandError, Exit

KEYS: Final = {"openai": 3, "anthropic": 2, "groq": 1}
"""How many keys of its own the operator has."""

PATIENCE_S: Final = 20.0
"""How long to wait for what has to follow; longer means that it does not."""

OWN_KEY, SYSTEM, UNTENANTED = "own key", "system keys", "untenanted"


def new_groups() -> tuple[Group, ...]:
    """A tenant with its own key, one on system keys with a fallback, and callers without tenant."""
    return (
        Group(OWN_KEY, tenant="acme"),
        Group(SYSTEM, tenant="globex", fallbacks=(f"anthropic/{MODELS['anthropic']}",)),
        Group(UNTENANTED),
    )


def new_secrets() -> dict[str, list[str]]:
    """Secrets for all keys of the operator."""
    return {
        provider: [f"demo-{provider}-{secrets.token_hex(12)}" for _ in range(number)]
        for provider, number in KEYS.items()
    }


@dataclass(slots=True)
class Story:
    """Plays the acts one after the other; `title` and `text` say where it is."""

    stage: Stage
    outlook: Outlook
    tally: Tally
    secrets: Mapping[str, Sequence[str]]
    pause_s: float
    on_act: Callable[[str, str], None]
    _wasted: int = field(default=0)

    async def prepare(self) -> None:
        """Before anybody calls: the tenant acme brings its own key."""
        secret = f"demo-acme-{secrets.token_hex(12)}"
        await self.stage.providers.issue("openai", secret)
        await self.outlook.give_tenant_key("acme", "openai", secret)

    async def play(self) -> None:
        """Play it all. Raises CommandError when something that has to follow does not."""
        await self._healthy()
        await self._one_dies()
        await self._provider_dies()
        await self._emergency()
        await self._bogus()
        await self._recovery()

    async def _healthy(self) -> None:
        self._act("Healthy", "Every key works. Three kinds of callers ask for openai/gpt-4o.")
        await self._wait_for("first_answers", "first answers", lambda: self._all_served(10))
        await self._pause()

    async def _one_dies(self) -> None:
        self._act("One key is revoked", "The provider rejects one openai key from now on.")
        await self.stage.providers.revoke(self.secrets["openai"][:1])
        await self._wait_for(
            "detect_one",
            "one revoked key detected",
            lambda: self.outlook.quarantined("openai") >= 1,
        )
        await self._pause()
        await self._count_rejected("one_revoked")

    async def _provider_dies(self) -> None:
        self._act("All openai keys are dead", "Callers with a fallback go on; others are told.")
        await self.stage.providers.revoke(self.secrets["openai"][1:])
        await self._wait_for(
            "detect_provider",
            "dead provider detected",
            lambda: self.outlook.quarantined("openai") == KEYS["openai"],
        )
        await self._pause()
        await self._count_rejected("provider_dead")

    async def _emergency(self) -> None:
        self._act("Emergency", "Every system key of every provider is dead. acme has its own.")
        for provider in ("anthropic", "groq"):
            await self.stage.providers.revoke(self.secrets[provider])
        await self._wait_for(
            "detect_emergency", "emergency detected", lambda: self.outlook.status.emergency
        )
        await self._pause()
        await self._count_rejected("emergency")

    async def _bogus(self) -> None:
        self._act(
            "A bogus secret is pushed", "Somebody mends the file with secrets that are wrong."
        )
        self.stage.write_keys(new_secrets())
        await self._wait_for(
            "reject_bogus",
            "bogus secrets rejected",
            lambda: self.outlook.rejected_revisions() >= sum(KEYS.values()),
        )
        await self._pause()
        await self._count_rejected("bogus")

    async def _recovery(self) -> None:
        self._act("Good keys in the file", "The right secrets are saved. Nobody restarts anything.")
        good = new_secrets()
        for provider, own in good.items():
            for secret in own:
                await self.stage.providers.issue(provider, secret)
        before = {group.name: group.served for group in self.tally.groups}
        self.stage.write_keys(good)
        saved = time.monotonic()
        await self._wait_for(
            "recover",
            "all callers served again",
            lambda: all(group.served > before[group.name] for group in self.tally.groups),
            saved,
        )
        await self._wait_for(
            "all_leasable",
            "every key leasable again",
            lambda: not self.outlook.quarantined(),
            saved,
        )
        await self._wait_for(
            "all_clear",
            "end of the emergency told",
            lambda: any(line.startswith("emergency_ended") for line in self.outlook.events),
            saved,
        )
        await self._pause()
        await self._count_rejected("recovery")

    def _act(self, title: str, text: str) -> None:
        for group in self.tally.groups:
            group.denial = ""
        self.on_act(title, text)

    def _all_served(self, number: int) -> bool:
        return all(group.served >= number for group in self.tally.groups)

    async def _wait_for(
        self, name: str, label: str, is_true: Callable[[], bool], since: float | None = None
    ) -> None:
        """Wait until it holds; what it took counts from `since` on, or from now."""
        began = time.monotonic() if since is None else since
        if not await self.outlook.until(is_true, PATIENCE_S):
            message = f"the demo waited {PATIENCE_S:.0f} s in vain for: {label}"
            raise CommandError(Exit.FAILED, message)
        self.tally.milestones.append(Milestone(name, label, time.monotonic() - began))

    async def _pause(self) -> None:
        await asyncio.sleep(self.pause_s)

    async def _count_rejected(self, act: str) -> None:
        """How many calls of this act were made with secrets that the provider rejects."""
        wasted = await self.stage.providers.rejected_calls()
        self.tally.rejected_calls[act] = wasted - self._wasted
        self._wasted = wasted
