"""What may be said about a key in variables, and what may not."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from broker.adapters.env.attributes import read_attribute

CANARY = "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("attribute", "text", "value"),
    [
        ("NAME", "team-a.prod_1", "team-a.prod_1"),
        ("ACCOUNT", "acme", "acme"),
        ("WEIGHT", "0.5", 0.5),
        ("PRIORITY", "-3", -3),
        ("PRIORITY", "+3", 3),
        ("CONCURRENCY", "0", 0),
        ("REQUESTS_PER_MINUTE", "60", 60),
        ("TOKENS_PER_MINUTE", "90000", 90000),
        ("MODELS", "gpt-4o*, o3", {"gpt-4o*": "", "o3": ""}),
        ("MODELS", "gpt-4o = my-deployment,o*", {"gpt-4o": "my-deployment", "o*": ""}),
        ("EXPIRES_AT", "2027-01-31T00:00:00Z", datetime(2027, 1, 31, tzinfo=UTC)),
        (
            "EXPIRES_AT",
            "2027-01-31t12:30:00.5+02:00",
            datetime(2027, 1, 31, 12, 30, 0, 500_000, timezone(timedelta(hours=2))),
        ),
        ("BASE_URL", "https://eu.acme.example/v1/", "https://eu.acme.example/v1"),
        ("BASE_URL", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("BASE_URL", "http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("BASE_URL", "http://localhost", "http://localhost"),
    ],
)
def test_an_attribute_is_read(attribute: str, text: str, value: object) -> None:
    assert read_attribute(attribute, text) == value


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("NAME", "a/b"),
        ("NAME", "-a"),
        ("NAME", "a" * 65),
        ("ACCOUNT", "a b"),
        ("WEIGHT", "0"),
        ("WEIGHT", "-1"),
        ("WEIGHT", "nan"),
        ("WEIGHT", "inf"),
        ("WEIGHT", CANARY),
        ("PRIORITY", "1.5"),
        ("PRIORITY", "1_000"),
        ("PRIORITY", "٣"),
        ("CONCURRENCY", "-1"),
        ("CONCURRENCY", "99999999999"),
        ("MODELS", "a,,b"),
        ("MODELS", "a=,b"),
        ("MODELS", "=b"),
        ("MODELS", "a,a"),
        ("MODELS", "a b"),
        ("EXPIRES_AT", "2027-01-31"),
        ("EXPIRES_AT", "2027-01-31T00:00:00"),
        ("EXPIRES_AT", "2027-02-30T00:00:00Z"),
        ("EXPIRES_AT", CANARY),
        ("BASE_URL", "http://acme.example"),
        ("BASE_URL", "http://127.0.0.1.acme.example"),
        ("BASE_URL", "ftp://127.0.0.1"),
        ("BASE_URL", "acme.example/v1"),
        ("BASE_URL", "https://"),
        ("BASE_URL", "https://acme.example:port"),
        ("BASE_URL", "https://[acme"),
        ("BASE_URL", f"https://user:{CANARY}@acme.example"),
        ("BASE_URL", f"https://acme.example?key={CANARY}"),
        ("BASE_URL", "https://acme.example#x"),
        ("BASE_URL", "https://acme.example/a b"),
        ("BASE_URL", "https://acme.example/\udc80"),
        ("WIEGHT", "1"),
        ("WEIGHT", ""),
    ],
)
def test_a_wrong_attribute_is_refused_without_quoting_it(attribute: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"must|expected|names|has no value") as caught:
        read_attribute(attribute, text)
    assert CANARY not in str(caught.value)
