"""What a source gave, what of it is believed, and what that changes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from broker.core.key import Key
from broker.core.revisions import HeldKey
from broker.ports.key_source import SourceFault, SourceSnapshot

MAX_NAMED = 10
"""Keys that one fault names; it counts the others."""


@dataclass(frozen=True, slots=True)
class Believed:
    """What of a reading is believed: the source's keys, `kept` among them, with their fallbacks."""

    keys: tuple[Key, ...]
    faults: tuple[SourceFault, ...]
    kept: tuple[Key, ...] = ()
    previous: Mapping[str, Key] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a new reading of a source changed.

    `changed` are pairs of what the source gave before and gives now. `dropped` are new secrets that
    were replaced before they came into use: they are known no more. `kept` are the keys that the
    source did not give and that stay, since it was faulty.
    """

    added: tuple[Key, ...] = ()
    changed: tuple[tuple[Key, Key], ...] = ()
    gone: tuple[HeldKey, ...] = ()
    faults: tuple[SourceFault, ...] = ()
    dropped: tuple[Key, ...] = ()
    kept: tuple[Key, ...] = ()

    @property
    def removed(self) -> tuple[Key, ...]:
        """The keys that were in use and are gone."""
        return tuple(held.key for held in self.gone)


def believed(
    source: str,
    snapshot: SourceSnapshot,
    given: Iterable[Key],
    others: Mapping[str, tuple[str, Key]],
) -> Believed:
    """A reading without what other sources give already, and with what it must not take away.

    `given` is what the source gave before; `others` are the keys of other sources by id, with their
    sources. A reading with faults takes nothing away: nobody can tell what was meant. One that was
    there all along, in the process environment, does not count. A previous secret that another key
    has now is no fallback.
    """
    holders = {(key.provider, key.secret): (name, key) for name, key in others.values()}
    keys, faults = [], list(snapshot.faults)
    for key in snapshot.keys:
        name, rival = others.get(key.key_id) or holders.get((key.provider, key.secret), ("", key))
        if not name:
            keys.append(key)
        elif rival.key_id == key.key_id:
            faults.append(SourceFault(source, f"{key.key_id} is a key of {name}, which stays"))
        else:
            message = f"{key.key_id} has the same secret as {rival.key_id} of {name}, which stays"
            faults.append(SourceFault(source, message))
    kept = [] if all(fault.is_lasting for fault in faults) else list(_lost(keys, given))
    if kept:
        faults.append(SourceFault(source, f"{_named(kept)} as before, until every fault is mended"))
    previous = {}
    if snapshot.previous:
        taken = {(key.provider, key.secret) for key in keys} | holders.keys()
        ids = {key.key_id for key in keys}
        previous = {
            key.key_id: key
            for key in snapshot.previous
            if key.key_id in ids and (key.provider, key.secret) not in taken
        }
    return Believed((*keys, *kept), tuple(faults), tuple(kept), previous)


def compared(given: Mapping[str, HeldKey], reading: Believed) -> Refreshed:
    """What a reading that is believed changes of what the source gave before."""
    new = {key.key_id: key for key in reading.keys}
    changed = [
        (held, new[key_id])
        for key_id, held in given.items()
        if key_id in new and new[key_id] != held.newest
    ]
    return Refreshed(
        added=tuple(key for key_id, key in new.items() if key_id not in given),
        changed=tuple((held.newest, key) for held, key in changed),
        gone=tuple(held for key_id, held in given.items() if key_id not in new),
        faults=reading.faults,
        dropped=tuple(dropped for held, key in changed for dropped in _superseded(held, key)),
        kept=reading.kept,
    )


def _lost(keys: Iterable[Key], given: Iterable[Key]) -> Iterator[Key]:
    """What was given before and is no more, unless it merely has another name now."""
    ids, secrets = set(), set()
    for key in keys:
        ids.add(key.key_id)
        secrets.add((key.provider, key.secret))
    for key in given:
        if key.key_id not in ids and (key.provider, key.secret) not in secrets:
            yield key


def _superseded(before: HeldKey, key: Key) -> Iterator[Key]:
    after = before.declaring(key)
    for revision in before.revisions:
        if after.find(revision.name) is None:
            yield revision.key


def _named(keys: list[Key]) -> str:
    names = ", ".join(sorted(key.key_id for key in keys)[:MAX_NAMED])
    more = len(keys) - MAX_NAMED
    stay = "stays" if len(keys) == 1 else "stay"
    return f"{names} and {more} more {stay}" if more > 0 else f"{names} {stay}"
