"""Scopes: what differs in any field that matters is another circuit."""

from broker.core.scope import (
    Upstream,
    account_model_scope,
    account_scope,
    key_model_scope,
    key_scope,
    upstream_principal_scope,
    upstream_scope,
)
from broker.core.words import ScopeKind


def test_each_maker_makes_its_own_kind() -> None:
    upstream = Upstream("p", "eu", "m")
    scopes = {
        key_scope("p", "k", "r"): ScopeKind.KEY,
        key_model_scope("p", "k", "r", "m"): ScopeKind.KEY_MODEL,
        account_scope("p", "o", "a"): ScopeKind.ACCOUNT,
        account_model_scope("p", "o", "a", "m"): ScopeKind.ACCOUNT_MODEL,
        upstream_scope(upstream): ScopeKind.UPSTREAM,
        upstream_principal_scope(upstream, "g"): ScopeKind.UPSTREAM_PRINCIPAL,
    }
    assert {scope.kind for scope in scopes} == set(scopes.values())
    assert set(scopes.values()) == set(ScopeKind) - {ScopeKind.REQUEST}


def test_a_new_plaintext_is_a_new_scope() -> None:
    assert key_scope("p", "k", "r1") != key_scope("p", "k", "r2")


def test_equal_names_of_different_owners_are_different_accounts() -> None:
    assert account_scope("p", "tenant-1", "main") != account_scope("p", "tenant-2", "main")


def test_one_model_at_two_endpoints_is_two_upstreams() -> None:
    assert upstream_scope(Upstream("p", "", "m")) != upstream_scope(Upstream("p", "eu", "m"))
