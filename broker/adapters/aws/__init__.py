"""What AWS keeps: system keys in Secrets Manager, and the clients that ask for them."""

from broker.adapters.aws.client import AwsClients
from broker.adapters.aws.errors import AwsCallError, Trouble
from broker.adapters.aws.key_source import SecretsManagerSource
from broker.adapters.aws.kms import KmsKeyWrapper
from broker.adapters.aws.selector import Selector

__all__ = [
    "AwsCallError",
    "AwsClients",
    "KmsKeyWrapper",
    "SecretsManagerSource",
    "Selector",
    "Trouble",
]
