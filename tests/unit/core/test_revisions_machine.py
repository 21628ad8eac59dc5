"""Which secret of a key is leased, whatever sources, providers and callers do."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.key import Key
from broker.core.revisions import HeldKey, Revision
from tests.unit.core.given import a_revision

NOW = 1000.0


class Rotations(RuleBasedStateMachine):
    """Sources, probes, calls and quarantines in any order, a choice after each, as services do."""

    def __init__(self) -> None:
        super().__init__()
        before = Revision(a_revision("before"), is_previous=True)
        self.key = HeldKey.loaded([Revision(a_revision("0")), before])
        self.given = 0
        self.alive = {"0", "before"}
        self.rejected: set[str] = set()
        self.now = NOW

    def is_rejected(self, key: Key) -> bool:
        return key.revision in self.rejected

    def choose(self) -> None:
        self.now += 1
        self.key = self.key.choosing(self.is_rejected, self.now, is_probeable=True)

    @rule(works=st.booleans())
    def a_new_secret_is_given(self, *, works: bool) -> None:
        self.given += 1
        name = str(self.given)
        if works:
            self.alive.add(name)
        before = self.key.in_use
        self.key = self.key.declaring(a_revision(name))
        self.choose()
        assert self.key.in_use == before

    @rule(data=st.data())
    def an_old_secret_is_given_again(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([revision.name for revision in self.key.revisions]))
        self.key = self.key.declaring(a_revision(name))
        self.choose()
        assert self.key.newest.revision == name

    @rule(data=st.data(), reaches=st.booleans())
    def a_probe_ends(self, data: st.DataObject, *, reaches: bool) -> None:
        name = data.draw(st.sampled_from([revision.name for revision in self.key.revisions]))
        if not reaches:
            self.key = self.key.noting(name)
        elif name in self.alive:
            self.rejected.discard(name)
            self.key = self.key.noting(name, authenticated_at=self.now)
        else:
            self.rejected.add(name)
            self.key = self.key.noting(name)
        self.choose()

    @rule()
    def a_call_is_made(self) -> None:
        name = self.key.in_use
        if name in self.alive:
            self.key = self.key.noting(name, authenticated_at=self.now)
        else:
            self.rejected.add(name)
        self.choose()

    @rule(data=st.data())
    def a_secret_is_revoked(self, data: st.DataObject) -> None:
        self.alive.discard(data.draw(st.sampled_from(sorted(self.alive | {"0"}))))

    @precondition(lambda self: len(self.key.revisions) > 1)
    @rule()
    def what_has_drained_is_dropped(self) -> None:
        for revision in self.key.revisions:
            if revision.is_draining:
                self.key = self.key.without(revision.name)

    @rule()
    def it_is_read_anew(self) -> None:
        read = HeldKey.loaded(self.key.revisions)
        assert read.remembering(self.key) == self.key

    @invariant()
    def what_is_in_use_is_held_and_does_not_drain(self) -> None:
        in_use = self.key.find(self.key.in_use)
        assert in_use is not None
        assert not in_use.is_draining

    @invariant()
    def no_bogus_secret_stands_over_a_working_one(self) -> None:
        """What the provider never accepted serves only where all it accepted is rejected."""
        in_use = self.key.find(self.key.in_use)
        assert in_use is not None
        if not in_use.is_proven or in_use.name in self.rejected:
            assert not any(
                revision.is_proven
                and not revision.is_draining
                and revision.name not in self.rejected
                for revision in self.key.revisions
            )

    @invariant()
    def the_newest_that_is_proven_and_not_rejected_serves(self) -> None:
        for revision in self.key.revisions:
            if revision.is_draining or revision.name in self.rejected:
                continue
            if revision.is_proven:
                assert self.key.in_use == revision.name
                return

    @invariant()
    def each_revision_is_held_once(self) -> None:
        assert len({revision.name for revision in self.key.revisions}) == len(self.key.revisions)

    @invariant()
    def a_rejected_one_serves_only_where_nothing_better_is_known(self) -> None:
        if self.key.in_use in self.rejected:
            assert not any(
                revision.was_probed
                and not revision.is_draining
                and revision.name not in self.rejected
                for revision in self.key.revisions
            )


TestRotations = Rotations.TestCase
