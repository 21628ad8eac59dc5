"""Which secret of a key is leased: a new one is proved before it is used.

The newest revision is leased that the provider has accepted; a newer one that nobody has proved yet
waits behind the one in use. So a wrong secret that is put over a working one costs no request, and
a right one that replaces a dead one serves as soon as a probe has told them apart.

A source may also tell the secret that a key had before. It is a fallback alone: nobody knows
whether it still works, and it is asked for only where the one in use does not.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from broker.core.key import Key


class Stage(StrEnum):
    """What the broker does with a revision."""

    IN_USE = "IN_USE"
    INCOMING = "INCOMING"
    REJECTED = "REJECTED"
    DRAINING = "DRAINING"


@dataclass(frozen=True, slots=True)
class Revision:
    """One secret of a key; times are epoch seconds of the log.

    `authenticated_at` is when the provider last accepted it. `was_probed` says that a probe has
    ended since it was loaded, whatever it found. `draining_since` is when a newer one took over for
    good: leased no more, but known as long as leases on it may be out. `is_previous` marks what its
    source says the key had before this broker knew it.
    """

    key: Key
    authenticated_at: float | None = None
    was_probed: bool = False
    draining_since: float | None = None
    is_previous: bool = False

    @property
    def name(self) -> str:
        """The fingerprint of its secret."""
        return self.key.revision

    @property
    def is_proven(self) -> bool:
        """Has the provider ever accepted it?"""
        return self.authenticated_at is not None

    @property
    def is_draining(self) -> bool:
        """Is it known only for the leases on it?"""
        return self.draining_since is not None


IsRejected = Callable[[Key], bool]
"""Is a revision quarantined?"""


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key with all its revisions that matter, the newest first; one of them is in use."""

    revisions: tuple[Revision, ...]
    in_use: str

    @classmethod
    def loaded(cls, revisions: Iterable[Revision]) -> "HeldKey":
        """A key as it was read: what worked last is in use, else what is there longest."""
        found = tuple(revisions)
        own = [revision for revision in found if not revision.is_previous]
        waiting = [revision for revision in own if not revision.is_draining] or own
        proven = [revision.name for revision in waiting if revision.is_proven]
        return cls(found, proven[0] if proven else waiting[-1].name)

    @property
    def key(self) -> Key:
        """The revision in use."""
        return next(found.key for found in self.revisions if found.key.revision == self.in_use)

    @property
    def newest(self) -> Key:
        """The revision that the key's source gave last."""
        return self.revisions[0].key

    @property
    def is_settled(self) -> bool:
        """Does the newest serve, proven, and do the others merely drain?"""
        newest, *others = self.revisions
        is_newest = newest.name == self.in_use and newest.is_proven
        return is_newest and all(revision.is_draining for revision in others)

    def find(self, name: str) -> Revision | None:
        """A revision by name."""
        return next((revision for revision in self.revisions if revision.name == name), None)

    def stage(self, revision: Revision, is_rejected: IsRejected) -> Stage:
        """What the broker does with one of the revisions."""
        if revision.name == self.in_use:
            return Stage.IN_USE
        if revision.is_draining or revision.is_previous:
            return Stage.DRAINING
        return Stage.REJECTED if is_rejected(revision.key) else Stage.INCOMING

    def to_prove(self, is_rejected: IsRejected) -> Iterator[Revision]:
        """The revisions of which a probe must tell whether they can serve.

        Of the one in use calls tell that, unless it is the newest. A previous one is a matter only
        where probes did not prove what came after it, and nothing that is proven serves.
        """
        for revision in self.revisions:
            is_settled = revision.is_proven or revision.is_draining or is_rejected(revision.key)
            is_newest = revision.name == self.newest.revision
            if is_settled or (revision.name == self.in_use and not is_newest):
                continue
            if not revision.is_previous or self._needs_previous(is_rejected):
                yield revision

    def is_undecided(self, is_rejected: IsRejected) -> bool:
        """Has it a fallback, and may a first probe still tell that another one has to serve?"""
        unknown = (revision for revision in self.to_prove(is_rejected) if not revision.was_probed)
        return len(self.revisions) > 1 and any(unknown)

    def superseded(self) -> Iterator[Revision]:
        """New secrets that yet newer ones replaced before anybody used them."""
        for revision in self.revisions[1:]:
            if not self._was_used(revision) and not revision.is_previous:
                yield revision

    def declaring(self, key: Key) -> "HeldKey":
        """The source gives `key` now: its secret is the newest, and all have its settings.

        One that comes back after a newer one took over must be proved again: it may have been
        revoked since. Other new secrets that never came into use are forgotten, as their source
        did.
        """
        known = self.find(key.revision)
        newest = Revision(key)
        if known is not None and not known.is_draining:
            newest = replace(known, key=key, is_previous=False)
        is_same = key.revision == self.newest.revision
        others = (
            replace(revision, key=_as_set(revision.key, key))
            for revision in self.revisions
            if revision.name != key.revision
            and (self._was_used(revision) or (revision.is_previous and is_same))
        )
        return replace(self, revisions=(newest, *others))

    def beside(self, older: Revision) -> "HeldKey":
        """The same with an older revision that it may fall back on."""
        if self.find(older.name) is not None:
            return self
        key = _as_set(older.key, self.newest)
        return replace(self, revisions=(*self.revisions, replace(older, key=key)))

    def recalling(self, name: str, authenticated_at: float) -> "HeldKey":
        """The same, knowing that a revision worked here when it was last in use."""
        revisions = tuple(
            replace(
                revision,
                authenticated_at=_latest(authenticated_at, revision.authenticated_at),
                is_previous=False,
            )
            if revision.name == name
            else revision
            for revision in self.revisions
        )
        return replace(self, revisions=revisions)

    def remembering(self, known: "HeldKey") -> "HeldKey":
        """The key as it was read anew, with what is `known` of its revisions from before.

        What was in use is in use, if it is still there.
        """
        newest = self.revisions[0].name
        revisions = [
            _remembered(revision, known.find(revision.name), is_newest=revision.name == newest)
            for revision in self.revisions
        ]
        in_use = known.in_use if self.find(known.in_use) is not None else self.in_use
        return HeldKey(
            tuple(
                replace(revision, draining_since=None) if revision.name == in_use else revision
                for revision in revisions
            ),
            in_use,
        )

    def noting(self, name: str, *, authenticated_at: float | None = None) -> "HeldKey":
        """A probe of a revision, or a call with it, ended; it was accepted, or (None) not."""
        revisions = tuple(
            replace(
                revision,
                was_probed=True,
                authenticated_at=_latest(authenticated_at, revision.authenticated_at),
            )
            if revision.name == name
            else revision
            for revision in self.revisions
        )
        return replace(self, revisions=revisions)

    def choosing(self, is_rejected: IsRejected, now: float, *, is_probeable: bool) -> "HeldKey":
        """The same with the right revision in use, and those older than a proven one draining.

        Where no probe authenticates (`is_probeable` is False) a new secret is taken at its word.
        """
        in_use = self._choice(is_rejected, is_probeable=is_probeable)
        return HeldKey(tuple(_settled(self.revisions, in_use, now)), in_use)

    def without(self, name: str) -> "HeldKey":
        """The same without a revision; the one in use stays."""
        rest = (rev for rev in self.revisions if rev.name != name or rev.name == self.in_use)
        return replace(self, revisions=tuple(rest))

    def _was_used(self, revision: Revision) -> bool:
        return revision.name == self.in_use or revision.is_draining or revision.is_proven

    def _needs_previous(self, is_rejected: IsRejected) -> bool:
        """Did probes leave it open whether anything that came later can serve?"""
        later = [rev for rev in self.revisions if not (rev.is_previous or rev.is_draining)]
        return not any(rev.is_proven and not is_rejected(rev.key) for rev in later) and all(
            rev.was_probed or is_rejected(rev.key) for rev in later
        )

    def _choice(self, is_rejected: IsRejected, *, is_probeable: bool) -> str:
        usable = [
            revision
            for revision in self.revisions
            if not revision.is_draining and not is_rejected(revision.key)
        ]
        for revision in usable:
            if revision.is_proven or not is_probeable:
                return revision.name
        if any(revision.name == self.in_use for revision in usable):
            return self.in_use
        for revision in usable:
            if revision.was_probed:  # nothing speaks against it, and the others are known to be bad
                return revision.name
        return self.in_use


def _settled(revisions: Iterable[Revision], in_use: str, now: float) -> Iterator[Revision]:
    """The revisions, those older than a proven one in use put to drain."""
    is_older = False
    for revision in revisions:
        if is_older and not revision.is_draining:
            yield replace(revision, draining_since=now)
        else:
            yield revision
        is_older = is_older or (revision.name == in_use and revision.is_proven)


def _remembered(read: Revision, known: Revision | None, *, is_newest: bool) -> Revision:
    if known is None:
        return read
    if is_newest and known.is_draining:
        return Revision(read.key)  # it comes back, and must be proved again
    return replace(
        read,
        authenticated_at=_latest(read.authenticated_at, known.authenticated_at),
        was_probed=known.was_probed,
        draining_since=known.draining_since,
    )


def _latest(one: float | None, other: float | None) -> float | None:
    times = [at for at in (one, other) if at is not None]
    return max(times, default=None)


def _as_set(key: Key, like: Key) -> Key:
    """A revision with the settings that its key has now; its endpoint stays its own."""
    now = replace(
        key,
        models=like.models,
        weight=like.weight,
        priority=like.priority,
        limits=like.limits,
        account=like.account,
        expires_at=like.expires_at,
    )
    return key if now == key else now  # what has not changed is not to be built anew
