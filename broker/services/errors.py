"""Faults that callers can act on; the edge turns each into a status, in one table.

ServiceError
├── InvalidFieldError, ContradictionError, PageTokenInvalidError     the request is wrong
├── ProviderUnknownError, DialectUnknownError, KeyUnknownError       a name means nothing here
├── KeyExistsError, KeyDuplicateError, KeySourceOwnedError           not with this key
├── SealingKeyMissingError, ImportTooLargeError                      not like this
├── ChangeUncertainError                                             done or not: nobody knows
├── SourceStaleError                                                 what is known is too old
├── LeaseUnknownError                                                forged, foreign, never issued
├── LeaseExpiredError, LeaseEndedError, KeyUnusableError             the lease is over
└── TenantForbiddenError                                             not for this caller

A refusal is no fault: see `broker.core.denial`.
"""

from collections.abc import Collection, Iterable, Mapping


class ServiceError(Exception):
    """A fault with a reason for programs, a message for people, and what both need to act."""

    reason = "INTERNAL"

    def __init__(self, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})


class InvalidFieldError(ServiceError):
    """A field is missing, malformed or too large; its value is not repeated."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}", {"field": field, "problem": problem})


class ContradictionError(ServiceError):
    """Fields that are fine one by one and cannot be meant together."""

    reason = "FIELDS_CONTRADICT"

    def __init__(self, *fields: str) -> None:
        super().__init__(
            f"{' and '.join(fields)} contradict each other: set one of them",
            {"fields": ",".join(fields)},
        )


class PageTokenInvalidError(ServiceError):
    """The page token is not one that this list returned for the same filters."""

    reason = "PAGE_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__(
            "page_token: not from this list; start again without it", {"field": "page_token"}
        )


class ProviderUnknownError(ServiceError):
    """No provider of this name is configured."""

    reason = "PROVIDER_UNKNOWN"

    def __init__(self, provider: str, known: Iterable[str]) -> None:
        names = ",".join(sorted(known))
        super().__init__(
            f"no provider {provider!r} is configured; known: {names}",
            {"provider": provider, "known_providers": names},
        )


class DialectUnknownError(ServiceError):
    """There is no catalogue file of this name."""

    reason = "DIALECT_UNKNOWN"

    def __init__(self, dialect: str, known: Iterable[str]) -> None:
        names = ",".join(sorted(known))
        super().__init__(
            f"no catalogue file for {dialect!r}; known: {names}",
            {"dialect": dialect, "known_dialects": names},
        )


class KeyUnknownError(ServiceError):
    """There is no key with this id."""

    reason = "KEY_UNKNOWN"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no key {key_id!r}: ListKeys shows what there is", {"key_id": key_id})


class KeyExistsError(ServiceError):
    """There is a key with this id already."""

    reason = "KEY_EXISTS"

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"there is a key {key_id!r} already: GetKey shows it; name another to make a new one",
            {"key_id": key_id},
        )


class KeyDuplicateError(ServiceError):
    """Another key of the same tenant and provider has this very secret."""

    reason = "KEY_DUPLICATE"

    def __init__(self, key_id: str, duplicate_of: str) -> None:
        super().__init__(
            f"key {duplicate_of!r} of this tenant and provider has the same secret already",
            {"key_id": key_id, "duplicate_of": duplicate_of},
        )


class KeySourceOwnedError(ServiceError):
    """The key comes from a source, which alone can change it."""

    reason = "KEY_SOURCE_OWNED"

    def __init__(self, key_id: str, source: str) -> None:
        super().__init__(
            f"key {key_id!r} is not kept by the broker: change it in its source, {source}",
            {"key_id": key_id, "source": source},
        )


class ChangeUncertainError(ServiceError):
    """The store failed while it made a change, and cannot be asked whether it did."""

    reason = "STORE_UNAVAILABLE"

    def __init__(self, change: str, cause: str) -> None:
        super().__init__(
            f"{cause}; whether {change} is not known: look before you repeat",
            {"cause": cause, "is_changed": "unknown"},
        )


class SourceStaleError(ServiceError):
    """The source of the keys that would serve has been unreadable for too long to be believed."""

    reason = "SOURCE_STALE"

    def __init__(self, source: str, provider: str) -> None:
        super().__init__(
            f"the keys of {provider} are not leased: their source, {source}, could not be read for"
            " too long",
            {"source": source, "provider": provider},
        )


class SealingKeyMissingError(ServiceError):
    """A sealing key is not at hand, here ("" among the replicas) or at other brokers."""

    reason = "SEALING_KEY_MISSING"

    def __init__(self, key_id: str, replicas: Collection[str], message: str) -> None:
        super().__init__(
            message, {"sealing_key_id": key_id, "replicas": ",".join(sorted(replicas))}
        )


class ImportTooLargeError(ServiceError):
    """An import has more than one transaction takes: more keys, or more bytes."""

    reason = "IMPORT_TOO_LARGE"

    def __init__(self, limit: int, unit: str = "keys") -> None:
        super().__init__(
            f"an import takes at most {limit} {unit}: import in parts", {"limit": str(limit)}
        )


class LeaseUnknownError(ServiceError):
    """Not a lease of this caller: forged, foreign and never issued look the same on purpose."""

    reason = "LEASE_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("lease_id: not a lease of this caller; acquire one")


class LeaseExpiredError(ServiceError):
    """The lease's time is over."""

    reason = "LEASE_EXPIRED"

    def __init__(self, expire_time: str) -> None:
        super().__init__("the lease has expired; acquire a new one", {"expire_time": expire_time})


class LeaseEndedError(ServiceError):
    """A report or a release ended the lease; there is no resurrection."""

    reason = "LEASE_ENDED"

    def __init__(self) -> None:
        super().__init__("the lease has ended; acquire a new one")


class KeyUnusableError(ServiceError):
    """The key is quarantined, disabled, revoked or gone: drop the lease."""

    reason = "KEY_UNUSABLE"

    def __init__(self, key_id: str, cause: str) -> None:
        super().__init__(
            f"key {key_id!r} is {cause}; acquire a new lease", {"key_id": key_id, "cause": cause}
        )


class TenantForbiddenError(ServiceError):
    """The principal may not lease for this tenant, or not without one."""

    reason = "TENANT_FORBIDDEN"

    def __init__(self, principal: str, tenant_id: str) -> None:
        super().__init__(
            f"{principal!r} may not lease for tenant {tenant_id!r}",
            {"principal": principal, "tenant_id": tenant_id},
        )
