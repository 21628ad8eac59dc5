"""The calls to Secrets Manager that the source makes; what AWS answers is checked here.

`BatchGetSecretValue` tells up to 20 secrets with their current versions. Versions in a listing may
be five minutes old, so it is asked for nothing but names and tags.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from broker.adapters.aws.client import AwsClients
from broker.adapters.aws.errors import AwsCallError, Trouble, told, unreadable
from broker.adapters.aws.selector import Selector

BATCH: Final = 20
"""Secrets that one call may ask for."""

MAX_PAGES: Final = 20
"""Pages of a listing, of 100 secrets each, that are read."""

_SERVICE: Final = "secretsmanager"


@dataclass(frozen=True, slots=True)
class Listed:
    """A secret that a listing names."""

    arn: str
    name: str


@dataclass(frozen=True, slots=True)
class SecretValue:
    """What one version of a secret says; `text` is None where it is binary."""

    arn: str
    name: str
    version_id: str
    text: str | None = field(repr=False)

    def is_of(self, secret_id: str) -> bool:
        """Is it the secret of this name or ARN? An ARN may lack its random end."""
        if secret_id.startswith("arn:"):
            return self.arn == secret_id or self.arn.startswith(f"{secret_id}-")
        return self.name == secret_id


Answer = SecretValue | AwsCallError


class SecretsApi:
    """Asks for secrets, and copes with a caller that may not ask for many at a time."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients
        self._may_batch = True

    async def listed(self, selector: Selector) -> tuple[list[Listed], bool]:
        """The secrets that fit, and whether these are all.

        Raises AwsCallError.
        """
        found: list[Listed] = []
        question = {"Filters": selector.filters(), "MaxResults": 100}
        for _ in range(MAX_PAGES):
            answer = await self._clients.call(_SERVICE, "list_secrets", question)
            secrets = answer.get("SecretList")
            if not isinstance(secrets, list):
                raise unreadable()
            found += [
                Listed(entry["ARN"], entry["Name"])
                for entry in secrets
                if _is_entry(entry) and selector.fits(entry["Name"], _tags(entry.get("Tags")))
            ]
            token = answer.get("NextToken")
            if not token or not isinstance(token, str):
                return found, True
            question["NextToken"] = token
        return found, False

    async def values(self, ids: Sequence[str]) -> Mapping[str, Answer]:
        """The current version of each secret, or why it cannot be told."""
        may_single = len(ids) <= BATCH
        parts = [ids[at : at + BATCH] for at in range(0, len(ids), BATCH)]
        answers = await asyncio.gather(
            *(self._values_of_some(part, may_single=may_single) for part in parts)
        )
        return {secret_id: answer for some in answers for secret_id, answer in some.items()}

    async def previous(self, arn: str) -> SecretValue | None:
        """What the secret said before, if AWS still knows and tells; raises AwsCallError."""
        try:
            return await self._value(arn, "AWSPREVIOUS")
        except AwsCallError as error:
            if error.trouble in {Trouble.AWAY, Trouble.CALLER}:
                raise
            return None

    async def _values_of_some(
        self, ids: Sequence[str], *, may_single: bool
    ) -> Mapping[str, Answer]:
        found: dict[str, Answer] = {}
        if len(ids) > 1 and (self._may_batch or not may_single):
            try:
                found = await self._batch(ids)
            except AwsCallError as error:
                is_denied = error.trouble is Trouble.DENIED
                if error.trouble in {Trouble.AWAY, Trouble.CALLER} or (
                    is_denied and not may_single
                ):
                    return dict.fromkeys(ids, _without_batch() if is_denied else error)
                self._may_batch = self._may_batch and not is_denied
        rest = [secret_id for secret_id in ids if secret_id not in found]
        singles = await asyncio.gather(*(self._single(secret_id) for secret_id in rest))
        return found | dict(zip(rest, singles, strict=True))

    async def _batch(self, ids: Sequence[str]) -> dict[str, Answer]:
        """What one call tells; it may leave secrets out."""
        answer = await self._clients.call(
            _SERVICE, "batch_get_secret_value", {"SecretIdList": list(ids)}
        )
        given, errors = answer.get("SecretValues"), answer.get("Errors", [])
        if not isinstance(given, list) or not isinstance(errors, list):
            raise unreadable()
        found: dict[str, Answer] = {
            error["SecretId"]: told(error.get("ErrorCode"), error.get("Message"), 400)
            for error in errors
            if isinstance(error, dict) and error.get("SecretId") in ids
        }
        values = [value for entry in given if (value := _value_in(entry))]
        for secret_id in ids:
            for value in values:
                if value.is_of(secret_id):
                    found[secret_id] = value
        return found

    async def _single(self, secret_id: str) -> Answer:
        try:
            value = await self._value(secret_id)
        except AwsCallError as error:
            return error
        return value if value.is_of(secret_id) else unreadable()

    async def _value(self, secret_id: str, stage: str = "AWSCURRENT") -> SecretValue:
        question = {"SecretId": secret_id, "VersionStage": stage}
        value = _value_in(await self._clients.call(_SERVICE, "get_secret_value", question))
        if value is None:
            raise unreadable()
        return value


def _without_batch() -> AwsCallError:
    message = f"more than {BATCH} secrets need the permission secretsmanager:BatchGetSecretValue"
    return AwsCallError(message, Trouble.REFUSED)


def _value_in(entry: Any) -> SecretValue | None:  # noqa: ANN401 - AWS may answer anything
    if not _is_entry(entry) or not isinstance(entry.get("VersionId"), str):
        return None
    text = entry.get("SecretString")
    if not isinstance(text, str) and "SecretBinary" not in entry:
        return None
    return SecretValue(
        entry["ARN"], entry["Name"], entry["VersionId"], text if isinstance(text, str) else None
    )


def _is_entry(entry: Any) -> bool:  # noqa: ANN401 - as _value_in
    return isinstance(entry, dict) and all(
        isinstance(entry.get(field), str) and entry[field] for field in ("ARN", "Name")
    )


def _tags(tags: Any) -> Mapping[str, str]:  # noqa: ANN401 - as _value_in
    found: Iterable[Any] = tags if isinstance(tags, list) else ()
    return {
        str(tag.get("Key")): str(tag.get("Value", "")) for tag in found if isinstance(tag, dict)
    }
