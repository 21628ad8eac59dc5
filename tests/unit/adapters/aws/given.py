"""A Secrets Manager in memory, which counts the calls and does what a test tells it."""

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, TypeVar

from broker.adapters.aws import AwsCallError, AwsClients, SecretsManagerSource, Selector, Trouble

T = TypeVar("T")

PROVIDERS = ("openai", "anthropic", "gemini")
FINGERPRINT_SECRET = b"fingerprints"

DENIED = AwsCallError("AWS does not allow the call", Trouble.DENIED, "AccessDeniedException")
THROTTLED = AwsCallError("AWS throttles the calls", Trouble.AWAY, "ThrottlingException")
UNKNOWN = AwsCallError("AWS refused the call", Trouble.REFUSED, "ResourceNotFoundException")
DELETED = AwsCallError("it is marked for deletion", Trouble.DELETED, "InvalidRequestException")

_SAID = {
    Trouble.DELETED: "You can't perform this operation on a secret that's marked for deletion.",
    Trouble.DENIED_KMS: "Access to KMS is not allowed",
}
"""How AWS tells these apart from others with the same code."""


class FakeAws(AwsClients):
    """Each secret is its versions by id, the current one last; `tags` are `key=value`.

    `failing` are operations, or names of secrets, with what calls for them meet; `answers` stand in
    for what an operation would say. `unlisted` secrets are missing in listings.
    """

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, str] = {}
        self.failing: dict[str, AwsCallError] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.unlisted: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.asked: list[list[str]] = []
        self.page = 100
        self._versions = count()

    def put(self, name: str, text: Any, tag: str = "") -> None:
        """Make a secret, or rotate it; what is no text is binary."""
        self.secrets.setdefault(name, {})[f"v{next(self._versions)}"] = text
        if tag:
            self.tags[name] = tag

    async def run(self, work: Callable[[], T]) -> T:
        return work()

    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], region: str = ""
    ) -> dict[str, Any]:
        is_back = parameters.get("VersionStage") == "AWSPREVIOUS"
        what = "AWSPREVIOUS" if is_back else operation
        self.calls[what] += 1
        failure = self.failing.get(what)
        if failure is not None:
            raise failure
        if operation in self.answers:
            return self.answers[operation]
        do = {
            "list_secrets": self._list,
            "batch_get_secret_value": self._batch,
            "get_secret_value": self._get,
        }
        return do[operation](parameters)

    def _list(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        at = int(parameters.get("NextToken", "0"))
        entries = [
            {"ARN": arn(name), "Name": name, "Tags": [_tag(self.tags.get(name, "none=none"))]}
            for name in self.secrets
            if name not in self.unlisted
        ]
        more = {"NextToken": str(at + self.page)} if len(entries) > at + self.page else {}
        return {"SecretList": entries[at : at + self.page], **more}

    def _batch(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        ids = parameters["SecretIdList"]
        self.asked.append(ids)
        values, errors = [], []
        for secret_id in ids:
            try:
                values.append(self._get({"SecretId": secret_id}))
            except AwsCallError as error:
                said = _SAID.get(error.trouble, "no")
                errors.append({"SecretId": secret_id, "ErrorCode": error.code, "Message": said})
        return {"SecretValues": values, "Errors": errors}

    def _get(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        name = parameters["SecretId"].rpartition(":")[2].removesuffix("-AbCdEf")
        versions = list(self.secrets.get(name, {}).items())
        at = -2 if parameters.get("VersionStage") == "AWSPREVIOUS" else -1
        if name in self.failing:
            raise self.failing[name]
        if len(versions) < -at:
            raise UNKNOWN
        version_id, said = versions[at]
        kind = "SecretString" if isinstance(said, str) else "SecretBinary"
        return {"ARN": arn(name), "Name": name, "VersionId": version_id, kind: said}


def arn(name: str) -> str:
    return f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf"


def _tag(text: str) -> dict[str, str]:
    key, _, value = text.partition("=")
    return {"Key": key, "Value": value}


def source(aws: FakeAws, *selectors: Selector, **seconds: float) -> SecretsManagerSource:
    return SecretsManagerSource(selectors, PROVIDERS, FINGERPRINT_SECRET, aws, **seconds)


def under(prefix: str = "kb/", provider: str = "") -> Selector:
    return Selector(prefix=prefix, provider=provider)


async def plaintexts(source: SecretsManagerSource) -> dict[str, str]:
    """The secrets that a new reading gives, by key id."""
    return {key.key_id: key.secret.reveal() for key in (await source.load()).keys}


async def faults(source: SecretsManagerSource) -> list[str]:
    """What a new reading says is wrong."""
    return [f"{fault.place}: {fault.message}" for fault in (await source.load()).faults]
