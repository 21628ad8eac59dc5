"""Check values tell whether secrets are the same, and nothing else of them."""

from broker.core.check_value import check_value


def test_a_secret_has_one_check_value_for_a_purpose() -> None:
    assert check_value(b"secret", "lease") == check_value(b"secret", "lease")
    assert len(check_value(b"secret", "lease")) == 24


def test_another_secret_or_purpose_has_another_one() -> None:
    values = {
        check_value(secret, purpose)
        for secret in (b"", b"secret", b"secret2", b"s" * 1000)
        for purpose in ("lease", "fingerprint")
    }
    assert len(values) == 8


def test_it_is_not_the_fingerprint_of_any_key() -> None:
    """Who holds both must not be able to compare them."""
    assert check_value(b"secret", "lease") not in check_value(b"secret", "fingerprint")
