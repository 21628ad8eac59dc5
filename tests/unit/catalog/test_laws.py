"""What the loader refuses in a rule, so that nobody can write a poisonous one."""

import pytest

from broker.catalog import CatalogError, read_catalog

HEAD = """
title = "Acme"
[errors]
message = ["message"]
fields = { code = ["code"], param = ["param"] }
[[rules]]
name = "r"
examples = [{ status = 400 }]
"""

MISSING_KEY = """
kind = "INVALID_CREDENTIAL"
missing_auth = true
evidence = "WEAK"
fields = { code = ["x"] }
starts = ["No key"]
"""


def faults_of(rule: str) -> list[str]:
    try:
        read_catalog({"acme": HEAD + rule})
    except CatalogError as error:
        return [fault.removeprefix("acme: rules.0 (r): ") for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ('kind = "UNKNOWN"', "without a condition"),
        ('kind = "UNKNOWN"\nfields = { cod = ["x"] }', "no field is named 'cod'"),
        ('kind = "OVERLOADED"\npage = ["x"]', "only lead to a verdict on the request"),
        ('kind = "UNKNOWN"\npage = ["x"]\nstarts = ["x"]', "neither fields nor a message"),
        ('kind = "INVALID_CREDENTIAL"\nstatus = [401]\nmissing_auth = true', "missing_auth goes"),
        ('kind = "INVALID_CREDENTIAL"\nstatus = [400]\nstarts = ["Bad key"]', "opens a circuit"),
        ('kind = "INVALID_CREDENTIAL"\nstarts = ["Bad key"]', "opens a circuit"),
        ('kind = "MODEL_NOT_FOUND"\nstarts = ["No model"]', "opens a circuit"),
        (
            'kind = "QUOTA_EXHAUSTED"\nfields = { code = ["x"] }\nstarts = ["No money"]',
            "opens a circuit",
        ),
        (
            'kind = "QUOTA_EXHAUSTED"\nstatus = [402]\nstarts = ["{} has no money"]',
            "begins with words that a caller may write",
        ),
        (
            'kind = "MODEL_NOT_FOUND"\nstatus = [400]\nwhole = ["No model {}"]',
            "ends with words that a caller may write",
        ),
        (
            'kind = "QUOTA_EXHAUSTED"\nstatus = [402]\nstarts = ["{word} has no money"]',
            "begins with words that a caller may write",
        ),
        (
            'kind = "MODEL_NOT_FOUND"\nscope = "key"\nstatus = [400]\nwhole = ["{word} is none"]',
            "begins with words that a caller may write",
        ),
        (
            'kind = "MODEL_NOT_FOUND"\nstatus = [400]\nwhole = ["No model: {word}"]',
            "ends with words that a caller may write",
        ),
        (
            'kind = "MODEL_NOT_FOUND"\nscope = "key"\nstatus = [404]\nstarts = ["No model"]',
            "opens a circuit",
        ),
        (
            'kind = "MODEL_NOT_FOUND"\nfields = { param = ["model"] }',
            "a parameter's name is the caller's",
        ),
    ],
)
def test_a_rule_that_callers_could_abuse_is_refused(rule: str, fault: str) -> None:
    (found,) = faults_of(rule)
    assert fault in found


@pytest.mark.parametrize(
    "rule",
    [
        'kind = "INVALID_CREDENTIAL"\nstatus = [401]\nstarts = ["Bad key"]',
        'kind = "INVALID_CREDENTIAL"\nstatus = [400]\nwhole = ["Bad key {} was given."]',
        'kind = "MODEL_NOT_FOUND"\nstatus = [404]\nstarts = ["No model {}"]',
        'kind = "MODEL_NOT_FOUND"\nstatus = [404, 410, 1008]\nstarts = ["No model"]',
        'kind = "MODEL_NOT_FOUND"\nstatus = [400]\nwhole = ["{word} is no model"]',
        'kind = "MODEL_NOT_FOUND"\nfields = { code = ["x"] }\nwhole = ["No model: {word}"]',
        'kind = "MODEL_NOT_FOUND"\nfields = { param = ["model"] }\nwhole = ["No model {}."]',
        MISSING_KEY,
        'kind = "INVALID_REQUEST"\nstatus = [400]\nstarts = ["Bad input"]',
        'kind = "QUOTA_EXHAUSTED"\nfields = { code = ["x"] }',
        'kind = "REGION_UNSUPPORTED"\npage = ["challenge"]',
    ],
)
def test_a_rule_by_the_providers_own_words_is_taken(rule: str) -> None:
    assert faults_of(rule) == []
