"""One round of calls: which secrets there are, and what they say now.

What AWS answers is believed, but for one thing. A listing may be five minutes old: a secret that it
leaves out is asked for by its ARN, and is gone when AWS knows it no more, or when the listings of
its tag left it out twice in a row.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from broker.adapters.aws.errors import AwsCallError, Trouble
from broker.adapters.aws.holdings import Holding
from broker.adapters.aws.secrets_api import Answer, SecretsApi, SecretValue
from broker.adapters.aws.selector import Selector, shown
from broker.ports.key_source import SourceFault

MAX_SECRETS: Final = 500
"""Secrets that are read, in 25 calls."""

MAX_MISSED: Final = 2
"""Listings in a row that must leave a secret out before it has lost its tag."""

_UNKNOWN: Final = "ResourceNotFoundException"

_WHY: Final[Mapping[str, str]] = {
    _UNKNOWN: "there is no such secret, or it has no value",
    "DecryptionFailure": "cannot be decrypted: look at its KMS key",
    Trouble.DELETED: "is marked for deletion",
    Trouble.DENIED: "may not be read: grant secretsmanager:GetSecretValue on it",
    Trouble.DENIED_KMS: "its KMS key may not be used: grant kms:Decrypt on that",
}


class Reading:
    """Reads the secrets of all selectors; `before` are the holdings of the last good reading.

    Afterwards `holdings` are the secrets that could be read, by ARN and in the order of selectors
    and names; `unread` are listed ones from before that could not be, and are not gone. `missed`
    counts the listings in a row that left one out.
    """

    def __init__(
        self,
        api: SecretsApi,
        selectors: Sequence[Selector],
        before: Mapping[str, Holding],
        missed: Mapping[str, int],
    ) -> None:
        self.holdings: dict[str, Holding] = {}
        self.unread: dict[str, Holding] = {}
        self.missed: dict[str, int] = {}
        self.faults: list[SourceFault] = []
        self._api = api
        self._selectors = selectors
        self._before = before
        self._missed_before = missed

    async def read(self) -> None:
        """Make the calls."""
        wanted = await self._wanted()
        if len(wanted) > MAX_SECRETS:
            message = f"gives more than {MAX_SECRETS} secrets: those after them are not read"
            self._fault("KEYBROKER_SECRETS_MANAGER", message)
            wanted = dict(islice(wanted.items(), MAX_SECRETS))
        answers = await self._api.values(list(wanted))
        for secret_id, selector in wanted.items():
            self._take(secret_id, selector, answers[secret_id])

    async def _wanted(self) -> dict[str, Selector]:
        """The names and ARNs to ask for, each with the first selector that it fits."""
        found = await asyncio.gather(*(self._found_by(selector) for selector in self._selectors))
        wanted: dict[str, Selector] = {}
        for selector, ids in zip(self._selectors, found, strict=True):
            for secret_id in ids:
                wanted.setdefault(secret_id, selector)
        return wanted

    async def _found_by(self, selector: Selector) -> list[str]:
        if not selector.is_listed:
            return [selector.name]
        known = {
            arn: holding.value.name
            for arn, holding in self._before.items()
            if holding.selector == selector
        }
        try:
            listed, is_whole = await self._api.listed(selector)
        except AwsCallError as error:
            is_denied = error.trouble is Trouble.DENIED
            why = "may not be listed: grant secretsmanager:ListSecrets"
            self._fault(selector.place, why if is_denied else f"was not listed: {error}")
            return list(known)
        if not is_whole:
            self._fault(selector.place, "fits too many secrets to list them all: narrow it")
        names = {secret.arn: secret.name for secret in listed}
        for arn in list(known.keys() - names.keys()) if is_whole and selector.tag else ():
            self.missed[arn] = self._missed_before.get(arn, 0) + 1
            if self.missed[arn] >= MAX_MISSED:
                del known[arn]
        names = known | names
        return sorted(names, key=lambda arn: (names[arn], arn))

    def _take(self, secret_id: str, selector: Selector, answer: Answer) -> None:
        if isinstance(answer, AwsCallError):
            is_gone = answer.code == _UNKNOWN or answer.trouble is Trouble.DELETED
            if not (is_gone and selector.is_listed):
                self._fault_of(secret_id, _why(answer))
            return
        before = self._before.get(answer.arn)
        if answer.arn in self.holdings:
            return  # two selectors fit it: the first one counts
        if before is None or before.selector != selector or not _is_same(before.value, answer):
            before = Holding(selector, self._free_place(answer), answer)
        self.holdings[answer.arn] = before

    def _fault_of(self, secret_id: str, message: str) -> None:
        known = self._before.get(secret_id)
        if known is not None:
            self.unread[secret_id] = known
        self._fault(known.place if known else shown(secret_id), message)

    def _free_place(self, value: SecretValue) -> str:
        """A secret's name; its ARN where a secret of another account is called the same."""
        place = shown(value.name)
        is_taken = any(holding.place == place for holding in self.holdings.values())
        return shown(value.arn) if is_taken else place

    def _fault(self, place: str, message: str) -> None:
        self.faults.append(SourceFault(place, message))


def _is_same(before: SecretValue, now: SecretValue) -> bool:
    return (before.version_id, before.name) == (now.version_id, now.name)


def _why(error: AwsCallError) -> str:
    return _WHY.get(error.code) or _WHY.get(error.trouble) or f"was not read: {error}"
