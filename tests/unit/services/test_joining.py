"""Only brokers with the same secrets serve on one database, and these can be changed."""

import pytest

from broker.adapters.memory import MemoryAgreements
from broker.services.joining import FINGERPRINT_CHECK, LEASE_CHECKS, SecretsDifferError, join

FINGERPRINT = b"fingerprint secret"
OLD, NEW, NEWEST = b"old lease secret", b"new lease secret", b"newest lease secret"


async def test_the_first_to_join_says_which_secrets_hold() -> None:
    agreements = MemoryAgreements()
    await join(agreements, FINGERPRINT, [OLD])
    await join(agreements, FINGERPRINT, [OLD])
    with pytest.raises(SecretsDifferError, match="LEASE_SECRETS"):
        await join(agreements, FINGERPRINT, [NEW])
    with pytest.raises(SecretsDifferError, match="FINGERPRINT_SECRET"):
        await join(agreements, b"another", [OLD])


async def test_lease_secrets_are_changed_one_broker_after_the_other() -> None:
    agreements = MemoryAgreements()
    for secrets in ([OLD], [OLD, NEW], [OLD], [NEW, OLD], [NEW], [NEW, NEWEST], [NEWEST]):
        await join(agreements, FINGERPRINT, secrets)
    with pytest.raises(SecretsDifferError):
        await join(agreements, FINGERPRINT, [OLD])


async def test_who_may_not_join_changes_nothing() -> None:
    agreements = MemoryAgreements()
    await join(agreements, FINGERPRINT, [OLD])
    before = [await agreements.get(name) for name in (FINGERPRINT_CHECK, LEASE_CHECKS)]
    for fingerprint, lease in ((b"another", OLD), (FINGERPRINT, NEW), (b"another", NEW)):
        with pytest.raises(SecretsDifferError):
            await join(agreements, fingerprint, [lease])
    assert [await agreements.get(name) for name in (FINGERPRINT_CHECK, LEASE_CHECKS)] == before


@pytest.mark.parametrize("agreed", ["", "{", "{}", '"x"', "[null]"])
async def test_what_makes_no_sense_agrees_with_nothing(agreed: str) -> None:
    agreements = MemoryAgreements()
    await agreements.put(LEASE_CHECKS, agreed)
    with pytest.raises(SecretsDifferError):
        await join(agreements, FINGERPRINT, [OLD])


async def test_no_secret_is_written_down_or_told() -> None:
    agreements = MemoryAgreements()
    await join(agreements, FINGERPRINT, [OLD, NEW])
    with pytest.raises(SecretsDifferError) as caught:
        await join(agreements, FINGERPRINT, [NEWEST])
    kept = [await agreements.get(name) or "" for name in (FINGERPRINT_CHECK, LEASE_CHECKS)]
    for shown in (*kept, str(caught.value)):
        for secret in (FINGERPRINT, OLD, NEW, NEWEST):
            assert secret.decode() not in shown
            assert secret.hex() not in shown
