"""What the brokers say while the drill plays: asked several times a second, and written down."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import grpc

from broker.cli.drill.plan import PROVIDER
from broker.cli.drill.record import Recorder, Told, View
from broker.cli.words import word
from keybroker.v1 import admin_pb2 as admin
from keybroker.v1 import event_pb2, key_pb2, status_pb2
from keybroker.v1.admin_pb2_grpc import AdminServiceStub
from keybroker.v1.status_pb2_grpc import StatusServiceStub

ASK_S: Final = 0.1
CALL_S: Final = 5.0
PAGE: Final = 1000


@dataclass(slots=True)
class Outlook:
    """The latest answer of each replica about the key, and all events; none is asked for twice.

    `ahead_s` is how far the brokers' clock is ahead of the record's zero.
    """

    recorder: Recorder
    channels: Mapping[str, grpc.aio.Channel]
    key_id: str = ""
    views: dict[str, View] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    ahead_s: float = 0.0
    _seen: set[str] = field(default_factory=set)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def begin(self) -> None:
        """Find the key, and how the brokers' clock goes; raises grpc.RpcError."""
        request = admin.ListKeysRequest(provider=PROVIDER, provenance=key_pb2.PROVENANCE_SYSTEM)
        channel = next(iter(self.channels.values()))
        listed = await AdminServiceStub(channel).ListKeys(request, timeout=CALL_S)
        self.key_id = listed.keys[0].key_id
        asked = self.recorder.now()
        status = StatusServiceStub(channel)
        answer = await status.GetStatus(status_pb2.GetStatusRequest(), timeout=CALL_S)
        middle = (asked + self.recorder.now()) / 2
        self.ahead_s = answer.status.time.ToNanoseconds() / 1e9 - middle

    async def follow(self) -> None:
        """Ask everybody again and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for replica, channel in self.channels.items():
                group.create_task(self._follow(replica, channel))

    async def until(self, is_true: Callable[[], bool], within_s: float) -> bool:
        """Wait until something holds of what was said; False when it does not in time."""
        try:
            async with asyncio.timeout(within_s), self._changed:
                await self._changed.wait_for(is_true)
        except TimeoutError:
            return False
        return True

    def is_told(self, kind: str, revision: str) -> bool:
        """Is there an event of this kind about a revision?"""
        return any(told.kind == kind and told.revision == revision for told in self.told)

    def is_in_use(self, revision: str) -> bool:
        """Is a revision the one that every replica leases?"""
        shown = (self.views.get(replica) for replica in self.channels)
        return all(view and view.stages.get(revision) == "in_use" for view in shown)

    async def _follow(self, replica: str, channel: grpc.aio.Channel) -> None:
        while True:
            began = time.monotonic()
            try:
                await self._ask(replica, channel)
            except grpc.RpcError:
                self._show(View(self.recorder.now(), replica))
            async with self._changed:
                self._changed.notify_all()
            await asyncio.sleep(max(ASK_S - (time.monotonic() - began), ASK_S / 4))

    async def _ask(self, replica: str, channel: grpc.aio.Channel) -> None:
        admins = AdminServiceStub(channel)
        answer = await admins.GetKey(admin.GetKeyRequest(key_id=self.key_id), timeout=CALL_S)
        key = answer.key
        stages = {each.revision: word(each, "stage") for each in key.revisions}
        self._show(View(self.recorder.now(), replica, word(key, "state"), stages))
        request = admin.ListEventsRequest(page_size=PAGE)
        happened = await admins.ListEvents(request, timeout=CALL_S)
        for event in reversed(happened.events):
            if event.event_id not in self._seen:
                self._seen.add(event.event_id)
                self._tell(event)

    def _show(self, view: View) -> None:
        before = self.views.get(view.replica)
        if before and (before.state, before.stages) == (view.state, view.stages):
            return
        self.views[view.replica] = view
        self.recorder.write(view)

    def _tell(self, event: event_pb2.Event) -> None:
        told = Told(
            at=event.time.ToNanoseconds() / 1e9 - self.ahead_s,
            event_id=event.event_id,
            kind=event.kind,
            message=event.message,
            provider=event.provider,
            key_id=event.key_id,
            attributes=dict(event.attributes),
        )
        self.told.append(told)
        self.recorder.write(told)
