"""What the broker says of itself while the demo plays: asked several times a second."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import grpc

from broker.cli.plain import plain
from keybroker.v1 import admin_pb2 as admin
from keybroker.v1 import key_pb2, status_pb2
from keybroker.v1.admin_pb2_grpc import AdminServiceStub
from keybroker.v1.status_pb2_grpc import StatusServiceStub

ASK_S: Final = 0.1
CALL_S: Final = 5.0

TOLD: Final = frozenset(
    {
        "circuit_opened",
        "circuit_reopened",
        "emergency_began",
        "emergency_ended",
        "incident_closed",
        "incident_opened",
        "provider_down",
        "provider_recovered",
        "revision_adopted",
        "revision_rejected",
    }
)
"""The kinds of events that the demo shows."""


@dataclass(slots=True)
class Outlook:
    """The latest answers; `events` are told once each, the oldest first."""

    channel: grpc.aio.Channel
    status: status_pb2.BrokerStatus = field(default_factory=status_pb2.BrokerStatus)
    keys: list[key_pb2.Key] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _asked: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self) -> None:
        """Ask again and again, until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(ASK_S)

    async def ask(self) -> None:
        """Ask once, and wake those who wait for something to become true."""
        status, admins = StatusServiceStub(self.channel), AdminServiceStub(self.channel)
        answer = await status.GetStatus(status_pb2.GetStatusRequest(), timeout=CALL_S)
        listed = await admins.ListKeys(admin.ListKeysRequest(), timeout=CALL_S)
        happened = await admins.ListEvents(admin.ListEventsRequest(), timeout=CALL_S)
        self.status, self.keys = answer.status, list(listed.keys)
        for event in reversed(happened.events):
            if event.event_id not in self._seen:
                self._seen.add(event.event_id)
                if event.kind in TOLD:
                    self.events.append(plain(f"{event.kind}: {event.message}"))
        async with self._asked:
            self._asked.notify_all()

    async def until(self, is_true: Callable[[], bool], within_s: float) -> bool:
        """Wait until something holds of what the broker says; False when it does not in time."""
        try:
            async with asyncio.timeout(within_s), self._asked:
                await self._asked.wait_for(is_true)
        except TimeoutError:
            return False
        return True

    async def give_tenant_key(self, tenant: str, provider: str, secret: str) -> None:
        """Give a tenant a key of its own."""
        request = admin.CreateKeyRequest(
            tenant_id=tenant,
            provider=provider,
            key_id=f"{tenant}-{secrets.token_hex(4)}",
            secret=key_pb2.SecretValue(plaintext=secret),
        )
        await AdminServiceStub(self.channel).CreateKey(request, timeout=CALL_S)

    def system_keys(self, provider: str = "") -> list[key_pb2.Key]:
        """The operator's keys, of one provider or all."""
        return [
            key
            for key in self.keys
            if key.provenance == key_pb2.PROVENANCE_SYSTEM and provider in {"", key.provider}
        ]

    def quarantined(self, provider: str = "") -> int:
        """How many of the operator's keys are quarantined."""
        state = key_pb2.KEY_STATE_QUARANTINED
        return sum(key.state == state for key in self.system_keys(provider))

    def rejected_revisions(self) -> int:
        """How many new secrets were turned down."""
        stage = key_pb2.REVISION_STAGE_REJECTED
        return sum(rev.stage == stage for key in self.keys for rev in key.revisions)
