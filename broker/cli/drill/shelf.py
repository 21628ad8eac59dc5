"""Where the operator keeps the key: AWS Secrets Manager, played by a server on this machine."""

from typing import Final

from broker.adapters.aws import AwsClients

NAME: Final = "keybroker/drill/openai"

REGION: Final = "us-east-1"
ACCESS: Final = {"AWS_ACCESS_KEY_ID": "drill", "AWS_SECRET_ACCESS_KEY": "drill"}
"""The server takes any."""


class Shelf:
    """One secret, and its new versions."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._clients = AwsClients(
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
        )
        self._is_made = False

    @property
    def variables(self) -> dict[str, str]:
        """What a broker needs to know to read it."""
        return {
            **ACCESS,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "KEYBROKER_SECRETS_MANAGER": f'[{{"name": "{NAME}", "provider": "openai"}}]',
        }

    async def put(self, secret: str) -> None:
        """Make this the current version; on return it is readable. Raises AwsCallError."""
        if self._is_made:
            given = {"SecretId": NAME, "SecretString": secret}
            await self._clients.call("secretsmanager", "put_secret_value", given)
        else:
            given = {"Name": NAME, "SecretString": secret}
            await self._clients.call("secretsmanager", "create_secret", given)
            self._is_made = True

    async def close(self) -> None:
        """Hang up."""
        await self._clients.close()
