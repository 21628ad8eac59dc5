"""kill -9 at every statement and commit: nothing half-written, nothing lost that was durable."""

import asyncio
import shutil
from collections import defaultdict
from pathlib import Path
from random import Random

import pytest

from broker.adapters.sql import Database
from tests.integration.sql.conftest import Victim
from tests.integration.sql.sql_given import rows_of

MAX_STEPS = 200


def copied(path: Path, to: Path) -> Path:
    """The files of a database as they lie there, in another folder."""
    shutil.copytree(path.parent, to)
    return to / path.name


def reopen(path: Path) -> None:
    """Let the next broker find what is there."""

    async def open_and_close() -> None:
        await (await Database.open(path)).close()

    asyncio.run(open_and_close())


@pytest.mark.parametrize(
    "work",
    [
        "create",
        "add_revision",
        "update",
        "delete",
        "put_policy",
        "put_mark",
        "put_last_good",
        "append",
        "save_snapshot",
        "record",
    ],
)
def test_a_change_is_made_whole_or_not_at_all(
    work: str, path: Path, tmp_path: Path, victim: Victim
) -> None:
    assert victim.does("prepare", path).told == ["prepared"]
    done = copied(path, tmp_path / "done")
    fate = victim.does(work, done)
    assert not fate.killed
    before, after, acknowledged = rows_of(path), rows_of(done), fate.told
    assert before != after
    outcomes = set()
    for kill_at in range(1, MAX_STEPS):
        killed = copied(path, tmp_path / f"killed{kill_at}")
        fate = victim.does(work, killed, kill_at)
        if not fate.killed:
            assert fate.told == acknowledged
            break
        reopen(killed)
        found = rows_of(killed)
        assert found in (before, after)
        assert found == after or fate.told == []
        outcomes.add(found == after)
    else:
        pytest.fail("the work never came to its end")
    assert outcomes == {False, True}


def test_a_migration_is_made_whole_or_not_at_all(
    path: Path, tmp_path: Path, victim: Victim
) -> None:
    assert victim.does("nothing", path).told == ["opened"]
    whole = rows_of(path)
    kills = 0
    for kill_at in range(1, MAX_STEPS):
        killed = tmp_path / f"killed{kill_at}" / path.name
        if not victim.does("nothing", killed, kill_at).killed:
            break
        kills += 1
        assert rows_of(killed) in ({}, whole)
        reopen(killed)
        assert rows_of(killed) == whole
    assert kills > 20


def test_whenever_it_is_killed_what_was_durable_is_there(path: Path, victim: Victim) -> None:
    random = Random(3)
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for _ in range(20):
        fate = victim.does("churn", path, lives_s=random.uniform(0.02, 0.12))
        assert fate.killed
        for line in fate.told:
            what, _, which = line.partition(" ")
            seen[what].add(which)
        rows = rows_of(path)
        keys = {str(row[0]) for row in rows["keys"]}
        revisions = defaultdict(set)
        for key_id, revision, *_ in rows["key_revisions"]:
            revisions[str(key_id)].add(revision)
        assert keys == revisions.keys()
        assert seen["created"] - keys <= seen["deleted"] | _perhaps_deleted(seen)
        assert all("bb" in revisions[key] for key in seen["rotated"] & keys)
        assert not keys & seen["deleted"]
        assert {f"{row[0]}/1" for row in rows["tenant_policies"]} >= seen["created"]
        _check_log(rows, seen)
    assert len(seen["created"]) > 50
    assert len(seen["logged"]) > 100


def _perhaps_deleted(seen: defaultdict[str, set[str]]) -> set[str]:
    """Keys whose deletion may have become durable just before it could be told."""
    return {key for key in seen["rotated"] if int(key.split("/")[0].split("-")[1]) % 3 == 0}


def _check_log(rows: dict[str, list[tuple[object, ...]]], seen: defaultdict[str, set[str]]) -> None:
    """No entry that a snapshot does not stand for is missing, and none came twice."""
    positions = sorted(int(str(row[1])) for row in rows["facts"])
    assert positions == list(range(positions[0], positions[-1] + 1))
    snapshots = sorted(int(str(row[1])) for row in rows["snapshots"])
    assert positions[-1] >= max(map(int, seen["logged"]))
    if seen["snapshot"]:
        assert snapshots[-1] >= max(map(int, seen["snapshot"]))
    assert positions[0] == 1 or positions[0] <= snapshots[0] + 1


async def test_a_broker_that_was_killed_leaves_no_lock_behind(path: Path, victim: Victim) -> None:
    assert victim.does("nothing", path, kill_at=3).killed
    await (await Database.open(path)).close()
