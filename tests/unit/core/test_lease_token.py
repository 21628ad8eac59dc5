"""The lease id: any replica reads it, nobody else can write it."""

from base64 import urlsafe_b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.admission import Permit, key_scopes, upstream_scopes
from broker.core.lease_token import (
    MAX_TOKEN_CHARS,
    PREFIX,
    LeaseClaims,
    LeaseTokenError,
    sign,
    signing_key,
    verify,
)
from broker.core.scope import (
    Upstream,
    account_model_scope,
    key_model_scope,
    key_scope,
    upstream_principal_scope,
    upstream_scope,
)
from broker.core.words import Family, Provenance, ScopeKind
from tests.unit.core.given import (
    ACCOUNT,
    KEY,
    KEY_MODEL,
    LEASE,
    MODEL,
    PROVIDER,
    UPSTREAM,
    make_key,
)

SECRET = b"signing-secret"
TOKEN = sign(LEASE, SECRET)

_CONTROLS = [chr(code) for code in (*range(32), *range(127, 160))]
_LETTERS = st.characters(codec="utf-8", exclude_characters=_CONTROLS)
_TEXT = st.text(_LETTERS, max_size=20)
_NAME = st.text(_LETTERS, min_size=1, max_size=20)
_INSTANT = st.floats(0.0, 4e9)
_PERMITS = st.lists(
    st.tuples(st.sampled_from(ScopeKind), st.sampled_from(Family)), max_size=3, unique=True
)


@st.composite
def leases(draw: st.DrawFn) -> LeaseClaims:
    """Claims with any text in each field and any permits of the lease's own scopes."""
    bare = LeaseClaims(
        uid=draw(_NAME),
        key_id=draw(_NAME),
        revision=draw(_NAME),
        owner=draw(_TEXT),
        account=draw(_TEXT),
        provenance=draw(st.sampled_from(Provenance)),
        upstream=Upstream(draw(_NAME), draw(_TEXT), draw(_TEXT)),
        tenant=draw(_TEXT),
        principal=draw(_TEXT),
        first_granted_at=draw(_INSTANT),
        granted_at=draw(_INSTANT),
        ends_at=draw(_INSTANT),
        request_id=draw(_TEXT),
        attempt=draw(st.integers(0, 99)),
        slots=draw(st.integers(0, 99)),
        faults=draw(st.integers(0, 99)),
        tried=tuple(draw(st.lists(_NAME, max_size=3))),
    )
    permits = draw(_PERMITS)
    return replace(
        bare, permits=tuple(Permit(bare.scope(kind), family) for kind, family in permits)
    )


@given(leases())
def test_a_token_says_what_was_signed(lease: LeaseClaims) -> None:
    assert verify(sign(lease, SECRET), [SECRET]) == lease


@given(st.data())
def test_a_changed_character_never_yields_other_claims(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TOKEN) - 1))
    character = data.draw(st.characters())
    mutated = TOKEN[:place] + character + TOKEN[place + 1 :]
    try:
        claims = verify(mutated, [SECRET])
    except LeaseTokenError:
        return
    assert claims == LEASE


@given(st.one_of(st.text(), st.text().map(PREFIX.__add__), st.binary().map(
    lambda raw: PREFIX + urlsafe_b64encode(raw).decode()
)))  # fmt: skip
def test_anything_else_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(LeaseTokenError):
        verify(text, [SECRET])


@given(st.integers(0, len(TOKEN) - 1))
def test_a_cut_token_is_refused(length: int) -> None:
    with pytest.raises(LeaseTokenError):
        verify(TOKEN[:length], [SECRET])


def test_a_token_of_a_foreign_broker_looks_like_a_forged_one() -> None:
    with pytest.raises(LeaseTokenError) as foreign:
        verify(sign(LEASE, b"other"), [SECRET])
    with pytest.raises(LeaseTokenError) as forged:
        verify(PREFIX + "AAAA", [SECRET])
    assert str(foreign.value) == str(forged.value) == ""


def test_a_token_without_any_secret_to_check_it_is_refused() -> None:
    with pytest.raises(LeaseTokenError):
        verify(TOKEN, [])


def test_tokens_of_the_former_secret_stay_good_while_it_overlaps() -> None:
    assert verify(TOKEN, [b"new", SECRET]) == LEASE


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * 1000])
def test_a_signing_secret_of_any_length_makes_a_key_of_its_own(secret: bytes) -> None:
    key = signing_key(secret)
    assert verify(sign(LEASE, key), [key]) == LEASE
    with pytest.raises(LeaseTokenError):
        verify(sign(LEASE, key), [signing_key(secret + b"x"), SECRET])


def test_an_oversized_token_is_refused_unread() -> None:
    with pytest.raises(LeaseTokenError):
        verify(TOKEN + "=" * MAX_TOKEN_CHARS, [SECRET])


def test_a_lease_with_permits_is_a_trial() -> None:
    assert not LEASE.is_trial
    assert replace(LEASE, permits=(Permit(KEY, Family.CREDENTIAL),)).is_trial


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        (ScopeKind.KEY, KEY),
        (ScopeKind.KEY_MODEL, KEY_MODEL),
        (ScopeKind.ACCOUNT, ACCOUNT),
        (ScopeKind.ACCOUNT_MODEL, account_model_scope(PROVIDER, "", "main", MODEL)),
        (ScopeKind.UPSTREAM, upstream_scope(UPSTREAM)),
        (ScopeKind.UPSTREAM_PRINCIPAL, upstream_principal_scope(UPSTREAM, "gateway")),
    ],
)
def test_a_lease_knows_each_of_its_scopes(kind: ScopeKind, scope: object) -> None:
    assert LEASE.scope(kind) == scope


def test_without_an_account_the_key_itself_is_its_bill() -> None:
    lease = replace(LEASE, account="")
    assert lease.scope(ScopeKind.ACCOUNT) == key_scope(PROVIDER, "k1", "r1")
    assert lease.scope(ScopeKind.ACCOUNT_MODEL) == key_model_scope(PROVIDER, "k1", "r1", MODEL)


def test_a_lease_is_judged_by_the_scopes_it_was_admitted_under() -> None:
    key = make_key(account="main")
    admitted = {*key_scopes(key, MODEL), *upstream_scopes(UPSTREAM, "gateway")}
    kinds = [kind for kind in ScopeKind if kind is not ScopeKind.REQUEST]
    assert {LEASE.scope(kind) for kind in kinds} == admitted
