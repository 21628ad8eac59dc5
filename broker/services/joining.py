"""Joining a fleet: brokers on one database must have the same secrets, or they do harm.

What they compare are check values, never the secrets.
"""

import json
from collections.abc import Collection

from broker.core.check_value import check_value
from broker.ports.agreements import Agreements

FINGERPRINT_CHECK = "fingerprint_check"
LEASE_CHECKS = "lease_checks"
"""The names of what is agreed."""


class SecretsDifferError(Exception):
    """This broker's secrets are not those of the others on its database; it must not start."""


async def join(
    agreements: Agreements, fingerprint_secret: bytes, lease_secrets: Collection[bytes]
) -> None:
    """Compare this broker's secrets with those of the others; the first broker says which hold.

    Of the lease secrets one in common is enough, so that they can be changed one broker after the
    other; those of the last to join hold for the next. Raises SecretsDifferError and
    StoreUnavailableError.
    """
    own = check_value(fingerprint_secret, "fingerprint")
    if await agreements.put_first(FINGERPRINT_CHECK, own) != own:
        raise SecretsDifferError(
            "its fingerprint secret is not the one that names the revisions in this database: give"
            " each broker on a database the same KEYBROKER_FINGERPRINT_SECRET, or this one another"
            " database"
        )
    checks = [check_value(secret, "lease") for secret in lease_secrets]
    mine = json.dumps(checks)
    agreed = await agreements.put_first(LEASE_CHECKS, mine)
    if agreed == mine:
        return
    if not set(checks) & _checks_of(agreed):
        raise SecretsDifferError(
            "none of its lease secrets is one of the other brokers on this database: give each"
            " broker the same KEYBROKER_LEASE_SECRETS; to change them, add the new one to all"
            " brokers before the old one goes"
        )
    await agreements.put(LEASE_CHECKS, mine)


def _checks_of(agreed: str) -> set[str]:
    """The check values in what was agreed; none where it makes no sense."""
    try:
        found = json.loads(agreed)
    except ValueError:
        return set()
    return set(map(str, found)) if isinstance(found, list) else set()
