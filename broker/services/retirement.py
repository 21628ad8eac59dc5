"""The fact that a revision is gone, and how long its health outlives it."""

import secrets

from broker.core.facts import RevisionRetired

RETIRE_AFTER_S = 10.0
"""A system key's health outlives it by this: a file that is being rewritten looks empty for a
moment, also at the start, and a quarantined key that comes back from that must still be so."""


def retirement(replica: str, provider: str, key_id: str, revision: str) -> RevisionRetired:
    """The fact that nothing about a revision can matter again."""
    return RevisionRetired(
        fact_id=f"retired/{secrets.token_hex(8)}",
        provider=provider,
        replica=replica,
        key_id=key_id,
        revision=revision,
    )
