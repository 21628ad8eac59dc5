"""The tries of one request are one chain."""

import pytest

from broker.core import chain as chain_module
from broker.core.chain import CHAIN_TTL_S, ChainBook, ChainId
from tests.unit.core.given import NOW, UPSTREAM

ID = ChainId("gateway", "t1", "request-1")


def test_a_later_try_of_the_same_request_belongs_to_its_chain() -> None:
    book = ChainBook()
    chain = book.open(ID, UPSTREAM, NOW)
    chain.faults = 1
    assert book.find(ID, NOW + CHAIN_TTL_S) is chain
    assert book.open(ID, UPSTREAM, NOW + CHAIN_TTL_S) is chain
    assert chain.touched == NOW + CHAIN_TTL_S


def test_a_chain_is_forgotten_after_thirty_seconds() -> None:
    book = ChainBook()
    chain = book.open(ID, UPSTREAM, NOW)
    later = NOW + CHAIN_TTL_S + 1.0
    assert book.find(ID, later) is None
    assert book.open(ID, UPSTREAM, later) is not chain


def test_a_try_at_another_upstream_begins_a_new_chain() -> None:
    book = ChainBook()
    chain = book.open(ID, UPSTREAM, NOW)
    assert book.open(ID, UPSTREAM._replace(model="gpt-4.1"), NOW) is not chain


@pytest.mark.parametrize(
    "other",
    [ID._replace(principal="other"), ID._replace(tenant="t2"), ID._replace(request_id="2")],
)
def test_requests_of_others_never_meet(other: ChainId) -> None:
    book = ChainBook()
    chain = book.open(ID, UPSTREAM, NOW)
    assert book.find(other, NOW) is None
    assert book.open(other, UPSTREAM, NOW) is not chain


def test_requests_without_an_id_are_strangers_to_each_other() -> None:
    book, nameless = ChainBook(), ID._replace(request_id="")
    assert book.open(nameless, UPSTREAM, NOW) is not book.open(nameless, UPSTREAM, NOW)
    assert book.find(nameless, NOW) is None
    assert len(book) == 0


def test_a_closed_chain_is_forgotten_at_once() -> None:
    book = ChainBook()
    book.open(ID, UPSTREAM, NOW)
    book.close(ID)
    book.close(ID)
    assert book.find(ID, NOW) is None


def test_old_chains_make_room_whenever_one_is_opened() -> None:
    book = ChainBook()
    for number in range(10):
        book.open(ID._replace(request_id=f"r{number}"), UPSTREAM, NOW + number)
    book.open(ID, UPSTREAM, NOW + CHAIN_TTL_S + 5.5)
    assert len(book) == 5
    book.open(ID._replace(request_id=""), UPSTREAM, NOW + 1000.0)
    assert len(book) == 0


def test_the_book_is_bounded_and_forgets_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "MAX_CHAINS", 3)
    book = ChainBook()
    ids = [ID._replace(request_id=f"r{number}") for number in range(4)]
    for chain_id in (*ids[:3], ids[0], ids[3]):
        book.open(chain_id, UPSTREAM, NOW)
    assert [book.find(chain_id, NOW) is not None for chain_id in ids] == [True, False, True, True]
