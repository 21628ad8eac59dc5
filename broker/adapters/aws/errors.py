"""Why a call to AWS failed, in our words: what AWS answers, and what was asked, is not quoted."""

import re
from enum import StrEnum
from typing import Final

from botocore import exceptions


class Trouble(StrEnum):
    """What kind of thing is wrong.

    AWAY: AWS does not answer, or fails, or throttles; the same call may succeed later. CALLER: no
    call can succeed, the credentials or the region are wrong. DENIED and DENIED_KMS: the caller may
    not do this, or may not use the KMS key. DELETED: the secret is marked for deletion. REFUSED:
    this call is wrong, by its `code`.
    """

    AWAY = "AWAY"
    CALLER = "CALLER"
    DENIED = "DENIED"
    DENIED_KMS = "DENIED_KMS"
    DELETED = "DELETED"
    REFUSED = "REFUSED"


class AwsCallError(Exception):
    """A call to AWS failed; the message is safe to show. `code` is AWS's word where it said one."""

    def __init__(self, message: str, trouble: Trouble, code: str = "") -> None:
        super().__init__(message)
        self.trouble = trouble
        self.code = code


def unreadable() -> AwsCallError:
    """An answer that is none of AWS's."""
    return AwsCallError("AWS gave an answer that cannot be read", Trouble.AWAY)


_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException"})
_THROTTLED: Final = frozenset(
    {
        "LimitExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_UNKNOWN_CALLER: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NO_CREDENTIALS: Final = (
    exceptions.ConfigNotFound,
    exceptions.ConfigParseError,
    exceptions.CredentialRetrievalError,
    exceptions.NoAuthTokenError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
    exceptions.SSOError,
)


def told(code: object, message: object, status: object) -> AwsCallError:
    """An error that AWS answered; of its message only what it is about is used."""
    word = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    said = message[:4096].lower() if isinstance(message, str) else ""
    if word in _THROTTLED or status == 429:
        return AwsCallError("AWS throttles the calls", Trouble.AWAY, word)
    if word in _DENIED:
        trouble = Trouble.DENIED_KMS if "kms" in said else Trouble.DENIED
        return AwsCallError("AWS does not allow the call", trouble, word)
    if word in _UNKNOWN_CALLER:
        return AwsCallError(f"AWS does not accept the credentials ({word})", Trouble.CALLER, word)
    if word == "InvalidRequestException" and "delet" in said and "kms" not in said:
        return AwsCallError("the secret is marked for deletion", Trouble.DELETED, word)
    if not word or not isinstance(status, int) or status >= 500:
        return AwsCallError("AWS failed", Trouble.AWAY, word)
    return AwsCallError(f"AWS refused the call ({word})", Trouble.REFUSED, word)


def as_call_error(error: Exception) -> AwsCallError:
    """What boto3 raised, without a word of it."""
    match error:
        case exceptions.ClientError():
            said, http = error.response.get("Error"), error.response.get("ResponseMetadata")
            if not isinstance(said, dict) or not isinstance(http, dict):
                return unreadable()
            return told(said.get("Code"), said.get("Message"), http.get("HTTPStatusCode"))
        case exceptions.NoRegionError() | exceptions.InvalidRegionError():
            message = "AWS has no region: set AWS_REGION to one, such as eu-central-1"
            return AwsCallError(message, Trouble.CALLER)
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            return AwsCallError(_unreached(error), Trouble.AWAY)
        case exceptions.ParamValidationError():
            code = "ValidationException"
            return AwsCallError(f"AWS knows no such call ({code})", Trouble.REFUSED, code)
        case _ if isinstance(error, _NO_CREDENTIALS):
            message = "there are no AWS credentials: give the process a role, or set"
            message += " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            return AwsCallError(message, Trouble.CALLER)
        case _:
            return unreadable()


def _unreached(error: Exception) -> str:
    match error:
        case exceptions.ConnectTimeoutError() | exceptions.ReadTimeoutError():
            return "AWS did not answer in time"
        case exceptions.SSLError():
            return "AWS shows no certificate that is trusted"
        case _:
            return "AWS cannot be reached"
