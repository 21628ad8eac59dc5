"""What probes of several keys amount to."""

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from broker.cli.exits import Exit
from broker.cli.output import note

PROBE_COLUMNS: Final = ("key", "provider", "result", "took", "detail")


class Require(StrEnum):
    """Which keys have to work."""

    ALL = "all"
    ANY = "any"


def judged(results: Iterable[tuple[str, str]], require: Require = Require.ALL) -> Exit:
    """The exit code for results by provider, lower-case ProbeResults; says what it found.

    REJECTED when a key is rejected, or with ANY when a provider has no key that is not. What is
    inconclusive blocks nothing, since it is no fault of the key; but when nothing at all was
    proved the code is UNPROVED.
    """
    by_provider: dict[str, list[str]] = defaultdict(list)
    for provider, result in results:
        by_provider[provider].append(result)
    found = [result for list_ in by_provider.values() for result in list_]
    counts = {name: found.count(name) for name in ("authenticated", "rejected", "inconclusive")}
    note(", ".join(f"{count} {name}" for name, count in counts.items() if count) + ".")
    for provider in sorted(by_provider):
        if set(by_provider[provider]) == {"rejected"}:
            note(f"{provider} has no key that works: replace them at the provider.")
    is_tolerant = require is Require.ANY
    if any(
        all(r == "rejected" for r in list_) if is_tolerant else "rejected" in list_
        for list_ in by_provider.values()
    ):
        return Exit.REJECTED
    if not counts["authenticated"]:
        note("Nothing was proved: the network or the providers failed, or none of them checks.")
        return Exit.UNPROVED
    if counts["inconclusive"]:
        note("What is inconclusive was let through: probe it again later.")
    return Exit.OK
