"""What callers may put into fields, and that no fault repeats what they put there."""

import pytest
from google.protobuf.duration_pb2 import Duration

from broker.edge.grpc.fields import (
    MAX_HEADER_BYTES,
    MAX_LEASE_ID_CHARS,
    check_count,
    check_headers,
    check_length,
    check_name,
    check_names,
    positive_seconds,
    require_lease_id,
    require_name,
    seconds,
)
from broker.services.errors import InvalidFieldError

SECRET = "sk-gone-astray"


@pytest.mark.parametrize("name", ["", "a", "gpt-4o", "модель", "名" * 85, "x" * 256, "a b"])
def test_a_name_may_be_any_printable_text_of_256_bytes(name: str) -> None:
    assert check_name("model", name) == name


@pytest.mark.parametrize(
    "name", [f"{SECRET}\0", f"{SECRET}\n", f"\x7f{SECRET}", f"{SECRET}\x85", SECRET + "x" * 256]
)
def test_control_characters_and_oversize_are_refused_without_the_value(name: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        check_name("model", name)
    assert caught.value.metadata["field"] == "model"
    assert SECRET not in str(caught.value)


def test_the_limit_counts_bytes_not_characters() -> None:
    with pytest.raises(InvalidFieldError, match="258 bytes, at most 256"):
        check_name("model", "名" * 86)


def test_a_required_name_must_be_there() -> None:
    with pytest.raises(InvalidFieldError, match="provider: is required"):
        require_name("provider", "")


def test_a_list_item_is_named_by_its_place() -> None:
    with pytest.raises(InvalidFieldError, match=r"excluded_key_ids\[1\]: is required"):
        check_names("excluded_key_ids", ["a", ""])


def test_a_list_has_at_most_100_items() -> None:
    assert len(check_names("ids", ["a"] * 100)) == 100
    with pytest.raises(InvalidFieldError, match="101 items, at most 100"):
        check_names("ids", ["a"] * 101)


def test_a_list_may_have_a_limit_of_its_own() -> None:
    with pytest.raises(InvalidFieldError, match="17 items, at most 16"):
        check_length("fallbacks", ["a"] * 17, 16)


@pytest.mark.parametrize("lease_id", ["", "x" * (MAX_LEASE_ID_CHARS + 1)])
def test_a_lease_id_must_be_there_and_not_be_huge(lease_id: str) -> None:
    with pytest.raises(InvalidFieldError, match="lease_id"):
        require_lease_id(lease_id)


def test_a_count_of_zero_means_its_default() -> None:
    assert check_count("attempt", 0, 1) == 1
    assert check_count("attempt", 2**31 - 1, 1) == 2**31 - 1


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match="concurrency: is negative"):
        check_count("concurrency", -1)


@pytest.mark.parametrize(("whole", "nanos"), [(300, 0), (0, 500_000_000), (2**62, 0)])
def test_a_duration_becomes_seconds(whole: int, nanos: int) -> None:
    assert positive_seconds("ttl", Duration(seconds=whole, nanos=nanos)) == whole + nanos / 1e9


@pytest.mark.parametrize(("whole", "nanos"), [(0, 0), (-1, 0)])
def test_a_time_to_live_is_longer_than_zero(whole: int, nanos: int) -> None:
    with pytest.raises(InvalidFieldError, match="ttl"):
        positive_seconds("ttl", Duration(seconds=whole, nanos=nanos))


@pytest.mark.parametrize(("whole", "nanos"), [(0, -1), (-(2**63), 0), (1, 2**31 - 1)])
def test_durations_that_are_none_are_refused(whole: int, nanos: int) -> None:
    with pytest.raises(InvalidFieldError, match="started_ago"):
        seconds("started_ago", Duration(seconds=whole, nanos=nanos))


def test_an_age_may_be_zero() -> None:
    assert seconds("started_ago", Duration()) == 0.0


def test_headers_get_lower_case_names_and_may_hold_tabs() -> None:
    assert check_headers("headers", {"Retry-After": "1\t2"}) == {"retry-after": "1\t2"}


NO_HEADERS = {
    "101 of them": {f"h{number}": "" for number in range(101)},
    "too large": {"big": SECRET + "x" * MAX_HEADER_BYTES},
    "no name": {"": SECRET},
    "a line break in the name": {"bad\n": SECRET},
    "a line break in the value": {"bad": f"{SECRET}\r\n"},
    "NUL": {"bad": f"{SECRET}\0"},
}


@pytest.mark.parametrize("headers", NO_HEADERS.values(), ids=NO_HEADERS)
def test_headers_that_no_response_has_are_refused_without_the_value(
    headers: dict[str, str],
) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        check_headers("outcome.headers", headers)
    assert SECRET not in str(caught.value)
