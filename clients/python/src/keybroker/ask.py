"""What is asked for: once for the first lease of a request, in part again for the next ones."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias, TypedDict, Unpack

from google.protobuf.duration_pb2 import Duration

from keybroker.denial import Target
from keybroker.v1 import denial_pb2, lease_pb2

TargetLike: TypeAlias = Target | tuple[str, str] | str
"""A fallback: Target("openai", "gpt-4o"), ("openai", "gpt-4o") or "openai/gpt-4o"."""


class Wishes(TypedDict, total=False):
    """What may be asked for besides provider and model.

    `tenant`: who is served; "" is nobody, with system keys only. `fallbacks`: upstreams to try in
    this order when the first has nothing. `request_id`: your name for the request; made up when
    left out. `affinity_key`: a conversation; requests that share it get the same key where load
    allows. `ttl`: seconds that a lease should last (300 unless told, at most 900).
    `estimated_tokens`: for keys with a cap on tokens.
    """

    tenant: str
    fallbacks: Sequence[TargetLike]
    request_id: str
    excluded_key_ids: Sequence[str]
    affinity_key: str
    ttl: float
    estimated_tokens: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a lease. It always has a request id: without one it could not be repeated."""

    target: Target
    tenant: str
    fallbacks: tuple[Target, ...]
    request_id: str
    attempt: int
    excluded_key_ids: tuple[str, ...]
    affinity_key: str
    ttl_s: float | None
    concurrency: int
    estimated_tokens: int

    @classmethod
    def of(cls, provider: str, model: str, concurrency: int = 1, **wishes: Unpack[Wishes]) -> Self:
        """The first ask of a request; raises ValueError."""
        if concurrency < 1:
            raise ValueError("concurrency is at least 1")
        return cls(
            target=Target(provider, model),
            tenant=wishes.get("tenant", ""),
            fallbacks=tuple(_target(each) for each in wishes.get("fallbacks", ())),
            request_id=wishes.get("request_id") or uuid.uuid4().hex,
            attempt=1,
            excluded_key_ids=tuple(wishes.get("excluded_key_ids", ())),
            affinity_key=wishes.get("affinity_key", ""),
            ttl_s=wishes.get("ttl"),
            concurrency=concurrency,
            estimated_tokens=wishes.get("estimated_tokens", 0),
        )

    def anew(self) -> Self:
        """The same wish as another request: for holders, whose leases follow one another."""
        return replace(self, request_id=uuid.uuid4().hex)

    def again(self, attempt: int) -> Self:
        """The next attempt of the same request."""
        return replace(self, attempt=attempt)

    def beyond(self, reached: Target) -> tuple[Target, ...]:
        """The fallbacks that are left once the request has come to `reached`."""
        if reached not in self.fallbacks:
            return self.fallbacks
        return self.fallbacks[self.fallbacks.index(reached) + 1 :]

    def acquire(self) -> lease_pb2.AcquireLeaseRequest:
        """The message that asks for it."""
        return lease_pb2.AcquireLeaseRequest(
            tenant_id=self.tenant,
            provider=self.target.provider,
            model=self.target.model,
            fallbacks=_messages(self.fallbacks),
            request_id=self.request_id,
            attempt=self.attempt,
            excluded_key_ids=self.excluded_key_ids,
            affinity_key=self.affinity_key,
            ttl=seconds(self.ttl_s),
            concurrency=self.concurrency,
            estimated_tokens=self.estimated_tokens,
        )

    def next_after(self, reached: Target) -> lease_pb2.AcquireNext:
        """The part of a report that asks for the next lease of the request."""
        return lease_pb2.AcquireNext(
            fallbacks=_messages(self.beyond(reached)),
            excluded_key_ids=self.excluded_key_ids,
            affinity_key=self.affinity_key,
            ttl=seconds(self.ttl_s),
            concurrency=self.concurrency,
            estimated_tokens=self.estimated_tokens,
        )


def seconds(value: float | None) -> Duration | None:
    """A protobuf duration."""
    if value is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(int(value * 1e9))
    return duration


def _target(value: TargetLike) -> Target:
    if isinstance(value, str):
        provider, slash, model = value.partition("/")
        if not slash:
            raise ValueError(f"the fallback {value!r} is not of the form provider/model")
        return Target(provider, model)
    return Target(*value)


def _messages(targets: Sequence[Target]) -> list[denial_pb2.Target]:
    return [denial_pb2.Target(provider=each.provider, model=each.model) for each in targets]
