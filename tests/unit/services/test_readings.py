"""What is believed of a reading: nothing that another source gives, and no loss beside a fault."""

from dataclasses import replace

from broker.core.key import Key
from broker.ports.key_source import SourceFault, SourceSnapshot
from broker.services.keyring import Keyring
from broker.services.readings import MAX_NAMED
from tests.unit.services.answers import PROVIDERS
from tests.unit.services.rotation_given import new
from tests.unit.services.status_given import a_key

A, B, C = a_key("a"), a_key("b"), a_key("c")
FAULT = SourceFault(".env:3", "is not NAME=value")


def read(keyring: Keyring, source: str, *keys: Key, faults: tuple[SourceFault, ...] = ()) -> str:
    """What a reading finds wrong."""
    refreshed = keyring.replace(source, SourceSnapshot(keys, faults))
    return "; ".join(fault.message for fault in refreshed.faults if fault not in faults)


def ids(keyring: Keyring) -> list[str]:
    found = keyring.keys()
    return [key.key_id for key in found]


def two_sources() -> Keyring:
    keyring = Keyring(PROVIDERS)
    read(keyring, "env", A)
    read(keyring, "toml", B)
    return keyring


def test_a_key_stays_with_the_source_that_gave_it_first() -> None:
    keyring = two_sources()
    assert read(keyring, "toml", B, new("x", A)) == "a is a key of env, which stays"
    assert keyring.key("a") == A
    assert keyring.source_of("a") == "env"


def test_a_secret_that_another_source_gives_is_refused_with_both_names() -> None:
    keyring = two_sources()
    copy = replace(A, key_id="copy")
    assert read(keyring, "toml", B, copy) == "copy has the same secret as a of env, which stays"
    assert ids(keyring) == ["a", "b"]


def test_a_key_that_is_rotated_to_the_secret_of_another_source_keeps_its_own() -> None:
    keyring = two_sources()
    told = read(keyring, "toml", replace(B, revision=A.revision, secret=A.secret))
    assert told == (
        "b has the same secret as a of env, which stays;"
        " b stays as before, until every fault is mended"
    )
    assert keyring.key("b") == B


def test_what_another_source_lets_go_can_be_taken_over() -> None:
    keyring = two_sources()
    read(keyring, "env", C)
    assert read(keyring, "toml", B, A) == ""
    assert keyring.source_of("a") == "toml"


def test_the_same_secret_at_two_providers_is_no_matter() -> None:
    keyring = two_sources()
    assert read(keyring, "toml", B, replace(A, key_id="g", provider="groq")) == ""


def test_a_reading_with_a_fault_takes_nothing_away() -> None:
    keyring = two_sources()
    read(keyring, "env", A, C)
    assert read(keyring, "env", faults=(FAULT,)) == (
        "a, c stay as before, until every fault is mended"
    )
    assert ids(keyring) == ["a", "b", "c"]
    assert read(keyring, "env", C) == ""
    assert ids(keyring) == ["b", "c"]


def test_a_fault_that_no_edit_can_mend_holds_nothing_back() -> None:
    """Else a variable that means nothing would keep every key for ever."""
    keyring = two_sources()
    lasting = replace(FAULT, is_lasting=True)
    assert read(keyring, "env", faults=(lasting,)) == ""
    assert ids(keyring) == ["b"]


def test_many_keys_that_stay_are_counted() -> None:
    keyring = Keyring(PROVIDERS)
    read(keyring, "env", *(a_key(f"k{number:02}") for number in range(MAX_NAMED + 3)))
    told = read(keyring, "env", faults=(FAULT,))
    assert told.endswith("k09 and 3 more stay as before, until every fault is mended")
