"""What a circuit is about: one key, account or upstream, as narrow as the evidence."""

from typing import NamedTuple

from broker.core.words import ScopeKind


class Upstream(NamedTuple):
    """Where a call goes; `endpoint` is "" for the provider's own base URL."""

    provider: str
    endpoint: str
    model: str


class Scope(NamedTuple):
    """The subject of a circuit; fields that its kind does not use are "".

    A key always means (`key_id`, `revision`): a new plaintext starts with a clean record. `owner`
    and `account` name the account: keys of one owner and provider that share one bill.
    """

    kind: ScopeKind
    provider: str
    key_id: str = ""
    revision: str = ""
    owner: str = ""
    account: str = ""
    endpoint: str = ""
    model: str = ""
    principal: str = ""


def key_scope(provider: str, key_id: str, revision: str) -> Scope:
    """The scope of one revision of a key, over all models."""
    return Scope(ScopeKind.KEY, provider, key_id, revision)


def key_model_scope(provider: str, key_id: str, revision: str, model: str) -> Scope:
    """The scope of one revision of a key on one model."""
    return Scope(ScopeKind.KEY_MODEL, provider, key_id, revision, model=model)


def account_scope(provider: str, owner: str, account: str) -> Scope:
    """The scope of all keys of `owner` at `provider` that share the bill `account`."""
    return Scope(ScopeKind.ACCOUNT, provider, owner=owner, account=account)


def account_model_scope(provider: str, owner: str, account: str, model: str) -> Scope:
    """The scope of an account on one model."""
    return Scope(ScopeKind.ACCOUNT_MODEL, provider, owner=owner, account=account, model=model)


def upstream_scope(upstream: Upstream) -> Scope:
    """The scope of an upstream, for every key and principal."""
    return Scope(
        ScopeKind.UPSTREAM, upstream.provider, endpoint=upstream.endpoint, model=upstream.model
    )


def upstream_principal_scope(upstream: Upstream, principal: str) -> Scope:
    """The scope of an upstream as one principal reaches it: its network may be what is broken."""
    return Scope(
        ScopeKind.UPSTREAM_PRINCIPAL,
        upstream.provider,
        endpoint=upstream.endpoint,
        model=upstream.model,
        principal=principal,
    )
