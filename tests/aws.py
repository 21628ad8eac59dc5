"""A Secrets Manager for tests: moto's server, one a session, and the hand of its operator."""

import atexit
import functools
import uuid
from typing import Any, Final

import boto3

from broker.adapters.aws import AwsClients
from broker.adapters.aws.client import Patience
from simulator.secrets_manager import SecretsManager

REGION: Final = "eu-central-1"
ACCESS: Final = {
    "region_name": REGION,
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": "made-up",
}
HASTE: Final = Patience(connect_s=0.5, read_s=0.5, attempts=2)
"""So that a test of what hangs takes a second."""


@functools.cache
def aws_url() -> str:
    """The endpoint of the session's server, which starts when it is first asked for."""
    server = SecretsManager()
    atexit.register(server.close)
    return server.url


def aws_clients(url: str = "", patience: Patience | None = None) -> AwsClients:
    """Clients of the session's server, or of what stands in front of it."""
    return AwsClients(patience, endpoint_url=url or aws_url(), **ACCESS)


def new_prefix() -> str:
    """What no other test's secrets begin with."""
    return f"t{uuid.uuid4().hex[:12]}/"


class Vault:
    """What an operator does with secrets; each method takes a secret's name."""

    def __init__(self, url: str = "") -> None:
        make: Any = boto3.session.Session().client
        self._client: Any = make("secretsmanager", endpoint_url=url or aws_url(), **ACCESS)

    def put(self, name: str, text: str, **tags: str) -> None:
        """Make a secret, or give it a new version."""
        try:
            self._client.put_secret_value(SecretId=name, SecretString=text)
        except self._client.exceptions.ResourceNotFoundException:
            given = [{"Key": key, "Value": value} for key, value in tags.items()]
            self._client.create_secret(Name=name, SecretString=text, Tags=given)

    def put_binary(self, name: str, data: bytes) -> None:
        self._client.create_secret(Name=name, SecretBinary=data)

    def untag(self, name: str, key: str) -> None:
        self._client.untag_resource(SecretId=name, TagKeys=[key])

    def mark_for_deletion(self, name: str) -> None:
        self._client.delete_secret(SecretId=name)

    def restore(self, name: str) -> None:
        self._client.restore_secret(SecretId=name)

    def destroy(self, name: str) -> None:
        self._client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)

    def roll_back(self, name: str) -> None:
        """Make the version before the current one again."""
        stages = self._client.describe_secret(SecretId=name)["VersionIdsToStages"]
        of = {stage: version for version, names in stages.items() for stage in names}
        self._client.update_secret_version_stage(
            SecretId=name,
            VersionStage="AWSCURRENT",
            RemoveFromVersionId=of["AWSCURRENT"],
            MoveToVersionId=of["AWSPREVIOUS"],
        )

    def close(self) -> None:
        self._client.close()
