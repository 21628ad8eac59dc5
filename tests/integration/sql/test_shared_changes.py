"""What one broker changes, the others hear of: soon, surely, and again after a silence."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest

from broker.adapters.sql import (
    Database,
    SqlAgreements,
    SqlKeyStore,
    SqlMarkStore,
    listening,
    looking,
)
from broker.adapters.sql.change_feed import SqlChangeFeed
from broker.adapters.sql.looking import EVERYTHING, Looking
from broker.ports.changes import Changed, Subject
from broker.ports.errors import StoreUnavailableError
from tests.integration.sql.shared_given import kill_connections, run
from tests.integration.sql.sql_given import MARK, POLICY, a_key, a_revision
from tests.postgres import new_database, server
from tests.proxy import proxy_of

MARKS = Changed(Subject.MARKS)


class Hearing:
    """A feed on a database that another broker changes, and what it told."""

    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.database = database
        self.feed = SqlChangeFeed(url)
        self.told: list[Changed] = []

    async def change(self, subject: str = "s") -> None:
        await SqlMarkStore(self.database).put(replace(MARK, subject=subject))

    async def hears(self, *changes: Changed, within_s: float = 3.0) -> float:
        """Wait until exactly these were told, and forget them; how long that took."""
        began = time.monotonic()
        while len(self.told) < len(changes) and time.monotonic() < began + within_s:  # noqa: ASYNC110 - of threads
            await asyncio.sleep(0.002)
        took = time.monotonic() - began
        assert self.told == list(changes)
        self.told.clear()
        return took


@asynccontextmanager
async def hearing(url: str, feed_url: str = "") -> AsyncIterator[Hearing]:
    database = await Database.open(url)
    hearing = Hearing(feed_url or url, database)
    try:
        await hearing.feed.follow(hearing.told.append)
        yield hearing
    finally:
        await hearing.feed.close()
        await database.close()


@pytest.fixture
async def heard() -> AsyncIterator[Hearing]:
    async with new_database() as url, hearing(url) as heard:
        yield heard


@pytest.fixture
def without_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a pooler that gives each transaction another connection."""
    monkeypatch.setattr(listening, "CHANNELS", ())


async def test_a_change_is_told_at_once(heard: Hearing) -> None:
    delays = []
    for number in range(20):
        await heard.change(f"s{number}")
        delays.append(await heard.hears(MARKS))
    assert sorted(delays)[10] < 0.1


@pytest.mark.usefixtures("without_notices")
async def test_a_change_is_told_within_about_a_second_without_notices(heard: Hearing) -> None:
    for number in range(3):
        await heard.change(f"s{number}")
        assert await heard.hears(MARKS) < 2.0


async def test_it_is_told_what_changed_and_whose(heard: Hearing) -> None:
    store = SqlKeyStore(heard.database)
    tenant = Changed(Subject.TENANT, "acme")
    await store.create(a_key("acme/1", "aa"), POLICY)
    await heard.hears(tenant)
    await store.add_revision("acme/1", a_revision("bb"))
    await heard.hears(tenant)
    await store.delete("acme/1")
    await heard.hears(tenant)
    await SqlAgreements(heard.database).put("sealing_key", "new")
    await heard.hears(Changed(Subject.AGREEMENTS))


async def test_a_topic_of_another_version_may_be_anything(heard: Hearing) -> None:
    insert = "INSERT INTO changes (topic, name, xid, at) VALUES ('{}', '', pg_current_xact_id(), 0)"
    for topic in ("everything", "something new"):
        await run(heard.url, insert.format(topic))
        await heard.hears(EVERYTHING)


async def test_a_transaction_that_began_early_and_ended_late_is_not_missed(heard: Hearing) -> None:
    """Its number is lower than those that were seen before it could be."""
    with psycopg.connect(heard.url) as late:
        late.execute("DELETE FROM agreements")
        late.execute("INSERT INTO agreements VALUES ('late', '')")
        await heard.change("first")
        await heard.hears(MARKS)
        await asyncio.sleep(2 * listening.POLL_S)
        await heard.change("second")
        await heard.hears(MARKS)
        late.commit()
        await heard.hears(Changed(Subject.AGREEMENTS))
    await heard.change("third")
    await heard.hears(MARKS)


async def test_what_is_rolled_back_is_not_told(heard: Hearing) -> None:
    with psycopg.connect(heard.url) as connection:
        connection.execute("INSERT INTO agreements VALUES ('never', '')")
        connection.rollback()
    await heard.change()
    await heard.hears(MARKS)


# --- Silence ----------------------------------------------------------------------------------


async def test_after_a_lost_connection_everything_may_have_changed_once(heard: Hearing) -> None:
    await heard.change("before")
    await heard.hears(MARKS)
    for _ in range(2):
        await kill_connections(heard.url)
        await heard.hears(EVERYTHING)
        assert heard.feed.is_current
        await asyncio.sleep(0.3)
        assert heard.told == []
    await run(heard.url, "INSERT INTO agreements VALUES ('after', '')")
    await heard.hears(Changed(Subject.AGREEMENTS))


async def test_a_frozen_server_makes_what_is_known_old_until_it_is_back(heard: Hearing) -> None:
    current = [heard.feed.is_current]
    server().freeze()
    try:
        await asyncio.sleep(3.0)
        current.append(heard.feed.is_current)
    finally:
        server().thaw()
    assert current == [True, False]
    await run(heard.url, "INSERT INTO agreements VALUES ('after', '')")
    began = time.monotonic()
    while not heard.told or not heard.feed.is_current:
        await asyncio.sleep(0.01)
        assert time.monotonic() - began < 3.0
    assert set(heard.told) <= {EVERYTHING, Changed(Subject.AGREEMENTS)}


async def test_a_way_that_is_cut_for_long_is_tried_again_and_again() -> None:
    async with (
        new_database() as url,
        proxy_of(url) as proxy,
        hearing(url, proxy.url(url)) as heard,
    ):
        proxy.cut()
        await asyncio.sleep(2.5)
        assert not heard.feed.is_current
        await heard.change()
        assert heard.told == []
        proxy.heal()
        assert await heard.hears(EVERYTHING) < 2.5


async def test_a_way_that_passes_nothing_on_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes, not even the news that nothing will."""
    monkeypatch.setattr(listening, "ANSWER_S", 1.0)
    async with (
        new_database() as url,
        proxy_of(url) as proxy,
        hearing(url, proxy.url(url)) as heard,
    ):
        proxy.freeze()
        await asyncio.sleep(listening.POLL_S + listening.ANSWER_S + 0.5)
        await heard.change()
        proxy.heal()
        await heard.hears(EVERYTHING, within_s=5.0)
        await heard.change()
        await heard.hears(MARKS)


async def test_it_cannot_begin_where_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = SqlChangeFeed("postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setattr("broker.adapters.sql.change_feed.BEGIN_S", 0.5)
    with pytest.raises(StoreUnavailableError, match="nothing answers there"):
        await feed.follow(lambda _: None)
    assert "sql-listener" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("is_frozen", [False, True])
async def test_an_end_is_soon_and_leaves_no_thread(heard: Hearing, *, is_frozen: bool) -> None:
    if is_frozen:
        server().freeze()
        await asyncio.sleep(1.2)
    try:
        began = time.monotonic()
        await heard.feed.close()
        assert time.monotonic() - began < 0.5
    finally:
        server().thaw()
    assert "sql-listener" not in {thread.name for thread in threading.enumerate()}


# --- One look after the other -----------------------------------------------------------------


@pytest.fixture
async def connection() -> AsyncIterator[psycopg.Connection]:
    async with new_database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection


def put(connection: psycopg.Connection, name: str) -> None:
    connection.execute("INSERT INTO agreements VALUES (%s, '')", [name])


AGREED = (Changed(Subject.AGREEMENTS),)


def test_a_long_transaction_has_nobody_told_twice(connection: psycopg.Connection) -> None:
    one = Looking()
    one.look(connection)
    with psycopg.connect(connection.info.dsn, password=connection.info.password) as long:
        long.execute("INSERT INTO agreements VALUES ('long', '')")
        for name in "abc":
            put(connection, name)
            assert one.look(connection).changes == AGREED
            assert one.look(connection).changes == ()
        long.commit()
    assert one.look(connection).changes == AGREED
    assert one.look(connection).changes == ()


def test_a_change_is_pruned_once_all_have_seen_it(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, kept = Looking(), "SELECT count(*) FROM changes"
    one.look(connection)
    put(connection, "a")
    one.look(connection)
    one.prune(connection)
    assert connection.execute(kept).fetchall() == [(1,)]
    for name in ("KEPT_S", "SETTLED_S", "PRUNE_EVERY_S"):
        monkeypatch.setattr(looking, name, 0.0)
    with psycopg.connect(connection.info.dsn, password=connection.info.password) as long:
        long.execute("INSERT INTO agreements VALUES ('long', '')")
        put(connection, "b")
        one.look(connection)
        one.prune(connection)
        one.look(connection)
        one.prune(connection)
        assert connection.execute(kept).fetchall() == [(1,)]
    one.look(connection)
    one.prune(connection)
    one.look(connection)
    one.prune(connection)
    assert connection.execute(kept).fetchall() == [(0,)]


def test_who_has_not_looked_for_long_has_missed_everything(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Looking()
    one.look(connection)
    put(connection, "a")
    monkeypatch.setattr(looking, "MAX_GAP_S", -1.0)
    assert one.look(connection).changes == (EVERYTHING,)
    monkeypatch.undo()
    assert one.look(connection).changes == ()


def test_where_transactions_are_counted_anew_everything_has_changed(
    connection: psycopg.Connection,
) -> None:
    """A pooler may go to another server without a word."""
    one = Looking()
    one.look(connection)
    one._horizon += 1000  # noqa: SLF001 - as another server would have it
    put(connection, "a")
    assert one.look(connection).changes == (EVERYTHING,)
    put(connection, "b")
    assert one.look(connection).changes == AGREED
