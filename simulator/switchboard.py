"""Everything a test, a demo or the control API can do to the simulated providers."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from random import Random

from simulator.dialects import DIALECTS
from simulator.faults import FaultBook, FaultRule, Pace, Target
from simulator.keys import WHOLE_KEY, Key, Keyring, Meter
from simulator.ledger import Call, Ledger
from simulator.words import Fault, Refusal, RouteKind, Trouble


class UnknownDialectError(LookupError):
    """A command named a dialect that the simulator does not speak."""

    def __init__(self, dialect: str) -> None:
        super().__init__(f"{dialect!r} is none of {', '.join(DIALECTS)}")


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Switchboard:
    """The state of all simulated providers; every change acts on the next request.

    `clock` returns seconds and measures limits and `Call.at`; `wall` returns aware datetimes and
    dates the headers. `seed` makes `fail_rate` repeatable. Where a method takes a `key`, it takes
    its secret or its label; `dialect`, `model` and `key` together narrow whom a fault concerns.
    Raises UnknownKeyError and UnknownDialectError.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
        seed: int = 0,
    ) -> None:
        self.clock = clock
        self.wall = wall
        self.keys = Keyring()
        self.faults = FaultBook(Random(seed))
        self.ledger = Ledger()
        self.public_lists: set[str] = set()
        self.numbers = count(1)

    @property
    def calls(self) -> list[Call]:
        """Every request to a provider so far, in the order of arrival."""
        return self.ledger.calls()

    def calls_of(self, key: str) -> list[Call]:
        """The requests that presented this secret, also one that was never issued."""
        label = self.keys.label_of(key)
        known = {issued.label for issued in self.keys.all()}
        return self.ledger.calls(key if key in known else label)

    def forget_calls(self) -> None:
        """Start the record of calls anew."""
        self.ledger.clear()

    # Keys

    def add_key(
        self,
        dialect: str,
        secret: str,
        *,
        label: str = "",
        account: str = "",
        models: Sequence[str] = (),
    ) -> Key:
        """Issue a key, labelled `<dialect>-<n>` unless told; raises DuplicateKeyError.

        Without an account it has one of its own. Without models it may use all.
        """
        self._check_dialect(dialect)
        return self.keys.add(dialect, secret, label, account, tuple(models))

    def key(self, key: str) -> Key:
        """The state and counters of a key."""
        return self.keys.find(key)

    def revoke(self, key: str) -> None:
        """Make the provider reject the key from now on."""
        self.keys.find(key).revoked = True

    def restore(self, key: str) -> None:
        """Make a revoked key valid again."""
        self.keys.find(key).revoked = False

    def empty(self, key: str) -> None:
        """Take the money of the key's account; listing models needs none."""
        self.keys.empty(self.keys.find(key))

    def refill(self, key: str) -> None:
        """Give the key's account money again."""
        self.keys.refill(self.keys.find(key))

    def restrict(self, key: str, model: str, *, unknown: bool = False) -> None:
        """Refuse one model to the key: forbidden, or as if the model did not exist."""
        found = self.keys.find(key)
        (found.unknown if unknown else found.forbidden).add(model)

    def permit(self, key: str, model: str) -> None:
        """Undo `restrict`."""
        found = self.keys.find(key)
        found.forbidden.discard(model)
        found.unknown.discard(model)

    # Limits

    def limit_for(
        self, key: str, seconds: float, model: str | None = None, *, daily: bool = False
    ) -> None:
        """Answer 429 for so many seconds from now; `daily` words it as a limit per day."""
        self.keys.find(key).meters[model or WHOLE_KEY] = Meter(
            0, seconds, daily=daily, once=True, started=self.clock()
        )

    def limit_count(
        self,
        key: str,
        requests: int,
        per_s: float,
        model: str | None = None,
        *,
        daily: bool = False,
    ) -> None:
        """Admit so many requests in each window, then answer 429 until the window ends."""
        self.keys.find(key).meters[model or WHOLE_KEY] = Meter(requests, per_s, daily=daily)

    def limit_concurrency(self, key: str, most: int | None) -> None:
        """Answer 429 when more than `most` requests are in flight; None lifts the limit."""
        self.keys.find(key).max_in_flight = most

    def unlimit(self, key: str, model: str | None = None) -> None:
        """Lift the limit on the key, or on one model of it."""
        self.keys.find(key).meters.pop(model or WHOLE_KEY, None)

    # Faults

    def fault(
        self,
        trouble: Trouble,
        *,
        dialect: str | None = None,
        model: str | None = None,
        key: str | None = None,
        only: RouteKind | None = None,
        times: int | None = None,
        rate: float = 1.0,
        cause: Refusal = Refusal.OVERLOADED,
    ) -> None:
        """Let the covered requests meet this trouble: always, `times` times, or at a rate.

        A newer fault comes before an older one. `cause` is what an error inside a stream or a 200
        says.
        """
        target = self._target(dialect, model, key, only)
        self.faults.add(FaultRule(trouble, target, times, rate, cause))

    def clear_faults(
        self,
        trouble: Trouble | None = None,
        *,
        dialect: str | None = None,
        model: str | None = None,
        key: str | None = None,
    ) -> None:
        """End the faults of this kind that concern nobody else; without arguments all."""
        self.faults.clear(self._target(dialect, model, key), trouble)

    def fail_rate(
        self, dialect: str, rate: float, *, refusal: Refusal = Refusal.SERVER_ERROR
    ) -> None:
        """Fail a share of a provider's generations, chosen by the seed; 0 ends it."""
        target = Target(self._check_dialect(dialect), only=RouteKind.GENERATE)
        self.faults.add(FaultRule(refusal, target, rate=rate))

    def hang(
        self, *, dialect: str | None = None, model: str | None = None, key: str | None = None
    ) -> None:
        """Answer the covered requests never, until released or their client goes away."""
        self.fault(Fault.HANG, dialect=dialect, model=model, key=key)

    def release(
        self, *, dialect: str | None = None, model: str | None = None, key: str | None = None
    ) -> None:
        """Answer what hangs, as it would have been answered when it came."""
        self.clear_faults(Fault.HANG, dialect=dialect, model=model, key=key)

    def slow(
        self,
        seconds: float,
        *,
        dialect: str | None = None,
        model: str | None = None,
        key: str | None = None,
        only: RouteKind | None = None,
    ) -> None:
        """Let every covered answer, also a refusal, wait so long before its first byte."""
        self.faults.set_delay(self._target(dialect, model, key, only), seconds)

    def generate_for(
        self,
        seconds: float,
        *,
        pieces: int = 4,
        dialect: str | None = None,
        model: str | None = None,
        key: str | None = None,
    ) -> None:
        """Let covered successes take so long; a stream spreads it over `pieces` pieces."""
        self.faults.set_pace(self._target(dialect, model, key), Pace(seconds, max(1, pieces)))

    def models_are_public(self, dialect: str, *, public: bool = True) -> None:
        """Let anybody list the provider's models, with a dead key or with none."""
        self._check_dialect(dialect)
        (self.public_lists.add if public else self.public_lists.discard)(dialect)

    def _target(
        self,
        dialect: str | None,
        model: str | None,
        key: str | None,
        only: RouteKind | None = None,
    ) -> Target:
        if dialect is not None:
            self._check_dialect(dialect)
        label = None if key is None else self.keys.find(key).label
        return Target(dialect, model, label, only)

    def _check_dialect(self, dialect: str) -> str:
        if dialect not in DIALECTS:
            raise UnknownDialectError(dialect)
        return dialect
