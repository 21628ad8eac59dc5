"""A sealing key in KMS: what it is called with, and what its refusals mean."""

import pytest

from broker.adapters.aws import AwsCallError, KmsKeyWrapper, Trouble
from broker.adapters.aws.kms import kms_key_id
from broker.ports.errors import SealBrokenError, SealUnavailableError
from tests.contract.fake_kms import FakeKms, a_kms_key, arn, refused

CONTEXT = b"of tenant acme"
DATA_KEY = bytes(range(32))


def test_a_key_is_named_by_the_end_of_its_arn_the_same_in_every_region() -> None:
    assert a_kms_key("12-ab").key_id == "kms/12-ab"
    replica = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-0a1b"
    assert kms_key_id(replica) == kms_key_id(arn("mrk-0a1b")) == "kms/mrk-0a1b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1234abcd",
        "alias/keybroker",
        "arn:aws:kms:eu-central-1:111122223333:alias/keybroker",
        "arn:aws:s3:eu-central-1:111122223333:key/1",
        "arn:aws:kms:eu-central-1:111122223333:key/",
        "arn:aws:kms:eu-central-1:111122223333:key/a/b",
        " arn:aws:kms:eu-central-1:111122223333:key/a",
    ],
)
def test_what_is_no_arn_of_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no ARN of a KMS key"):
        KmsKeyWrapper(text, FakeKms())


async def test_kms_learns_the_place_of_a_secret_only_as_a_hash() -> None:
    kms = FakeKms()
    key = a_kms_key(kms=kms)
    assert await key.unwrap(await key.wrap(DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY
    for parameters in kms.seen:
        assert parameters["KeyId"] == arn()
        [value] = parameters["EncryptionContext"].values()
        assert len(value) == 64
        assert "acme" not in value


async def test_a_key_that_was_not_yet_asked_says_so() -> None:
    key = a_kms_key()
    assert "has not answered yet" in key.fault
    await key.wrap(DATA_KEY, CONTEXT)
    assert key.fault == ""


async def test_what_was_wrapped_elsewhere_does_not_unwrap_and_is_no_fault_of_kms() -> None:
    key = a_kms_key()
    wrapped = await key.wrap(DATA_KEY, CONTEXT)
    for there, context in ((wrapped, b"elsewhere"), (b"", CONTEXT), (bytes(6145), CONTEXT)):
        with pytest.raises(SealBrokenError):
            await key.unwrap(there, context)
    assert key.fault == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AwsCallError("AWS throttles the calls", Trouble.AWAY, "ThrottlingException"), "throttles"),
        (AwsCallError("AWS cannot be reached", Trouble.AWAY), "cannot be reached"),
        (AwsCallError("AWS does not allow the call", Trouble.DENIED), "grant this broker kms:Encr"),
        (AwsCallError("there are no AWS credentials", Trouble.CALLER), "no AWS credentials"),
        (refused("DisabledException"), "it is disabled: enable it"),
        (refused("KMSInvalidStateException"), "about to be deleted"),
        (refused("NotFoundException"), "no such key"),
        (refused("SomethingNewException"), "AWS refused the call"),
    ],
)
async def test_whatever_else_kms_refuses_is_for_now_and_blames_no_secret(
    error: AwsCallError, said: str
) -> None:
    kms = FakeKms()
    key = a_kms_key(kms=kms)
    wrapped = await key.wrap(DATA_KEY, CONTEXT)
    kms.trouble = error
    for call in (key.wrap(DATA_KEY, CONTEXT), key.unwrap(wrapped, CONTEXT)):
        with pytest.raises(SealUnavailableError, match=said) as caught:
            await call
        assert str(caught.value) == key.fault
        assert "kms/1234abcd" in key.fault
    kms.trouble = None
    assert await key.unwrap(wrapped, CONTEXT) == DATA_KEY
    assert key.fault == ""
