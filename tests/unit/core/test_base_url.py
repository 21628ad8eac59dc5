"""Where a provider's calls go."""

import pytest

from broker.core.base_url import MAX_CHARS, checked_base_url


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:80/", "http://[::1]:80"),
    ],
)
def test_a_base_url_is_over_tls_or_on_loopback(text: str, base_url: str) -> None:
    assert checked_base_url(text) == base_url


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("https://[::", "must be a URL"),
        ("https://", "with a host"),
        ("https://a b", "with a host"),
        ("https://example.com/" + "a" * MAX_CHARS, "at most"),
        ("https://user@example.com", "without user"),
        ("https://example.com?key=1", "without user"),
        ("http://10.0.0.1/v1", "https://"),
        ("http://example.com", "https://"),
        ("ftp://localhost", "https://"),
    ],
)
def test_a_key_never_goes_out_in_the_clear_or_astray(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        checked_base_url(text)
