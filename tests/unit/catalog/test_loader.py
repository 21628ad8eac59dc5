"""Reading catalogue files: a new provider is one file, and a bad file is told all its faults."""

import pytest

from broker.catalog import CatalogError, load_catalog, read_catalog
from broker.core.outcome import Outcome
from broker.core.verdicts.classifier import classify, headroom
from broker.core.verdicts.dialect import (
    EACH,
    FreeProbe,
    HeaderHint,
    HintForm,
    KeyTravel,
    LimitHeaders,
    QuotaResets,
    SuccessMark,
)
from broker.core.words import Evidence, Kind, QuotaWindow, ScopeKind

ACME = """
title = "Acme"
base_url = "https://api.acme.test/v1/"
help_url = "https://acme.test/keys"
status_url = "https://status.acme.test"

[key]
header = "x-acme-key"
prefix = ""
extra_headers = { x-acme-version = "2" }

[probe]
path = "/models"
authenticates = true
models = "items[].names[]"
model_prefix = "acme/"

[errors]
message = ["fault.words"]
nested = ["fault.inner"]
success = ["fault", "kind=fault", "base.code!=0"]
status = ["fault.status"]
error_name = "code"
fields = { code = ["fault.code", "faults[].code"] }
headers = { code = ["x-fault"] }

[hints]
headers = [{ name = "x-wait", form = "milliseconds" }]
fields = ["fault.wait"]
phrases = ["Come back in "]
resets = [{ name = "x-reset", form = "reset", when_zero = "x-left" }]

[[limits]]
limit = "x-limit"
remaining = "x-left"

[resets]
time_zone = "Asia/Tokyo"
hour = 5

[[rules]]
name = "in-words"
kind = "RATE_LIMITED"
status = [429]
starts = ["Too fast"]
examples = [{ status = 429, body = '{"fault": {"words": "Too fast. Come back in 5s"}}' }]

[[rules]]
name = "used-up"
kind = "QUOTA_EXHAUSTED"
scope = "account_model"
quota_window = "day"
fields = { code = ["used-up*"] }
examples = [{ status = 400, body = '{"fault": {"code": "USED-UP-7"}}' }]
"""
CHILD = """
title = "Child of Acme"
extends = "acme"
[probe]
path = "/list"
authenticates = false
[[rules]]
name = "used-up"
replaces = true
kind = "RATE_LIMITED"
fields = { code = ["used-up"] }
examples = [{ status = 429, body = '{"fault": {"code": "used-up"}}' }]
"""


def faults_of(**texts: str) -> tuple[str, ...]:
    with pytest.raises(CatalogError) as raised:
        read_catalog(texts)
    assert str(raised.value) == "\n".join(raised.value.faults)
    return raised.value.faults


def test_a_new_provider_is_one_file() -> None:
    acme = read_catalog({"acme": ACME})["acme"]
    answer = Outcome(400, {}, b'{"fault": {"code": "USED-UP-7", "wait": "90s"}}')
    verdict = classify(acme, answer)
    assert (verdict.kind, verdict.scope) == (Kind.QUOTA_EXHAUSTED, ScopeKind.ACCOUNT_MODEL)
    assert (verdict.evidence, verdict.rule) == (Evidence.CERTAIN, "acme:used-up")
    assert (verdict.quota_window, verdict.retry_hint_s) == (QuotaWindow.DAY, 90.0)
    assert headroom(acme, {"x-limit": "4", "x-left": "1"}) == 0.25


def test_every_table_of_a_file_reaches_the_dialect() -> None:
    acme = read_catalog({"acme": ACME})["acme"]
    assert (acme.name, acme.title, acme.base_url) == ("acme", "Acme", "https://api.acme.test/v1")
    assert (acme.help_url, acme.status_url) == (
        "https://acme.test/keys",
        "https://status.acme.test",
    )
    assert acme.key_travel == KeyTravel("x-acme-key", "", {"x-acme-version": "2"})
    models = ("items", EACH, "names", EACH)
    assert acme.probe == FreeProbe(
        "/models", authenticates=True, model_names=models, model_prefix="acme/"
    )
    assert acme.errors.fields["code"] == (("fault", "code"), ("faults", EACH, "code"))
    assert acme.errors.message == (("fault", "words"),)
    assert acme.errors.nested == (("fault", "inner"),)
    assert acme.errors.success_marks == (
        SuccessMark(("fault",)),
        SuccessMark(("kind",), equals="fault"),
        SuccessMark(("base", "code"), differs="0"),
    )
    assert acme.errors.headers == {"code": ("x-fault",)}
    assert (acme.errors.status, acme.errors.error_name) == ((("fault", "status"),), "code")
    assert str(acme.hints.zone) == "Asia/Tokyo"
    assert acme.hints.headers == (HeaderHint("x-wait", HintForm.MILLISECONDS),)
    assert acme.hints.fields == (("fault", "wait"),)
    assert acme.hints.phrases == ("come back in ",)
    assert acme.hints.resets == (HeaderHint("x-reset", HintForm.RESET, "x-left"),)
    assert acme.limits == (LimitHeaders("x-limit", "x-left"),)
    assert (str(acme.resets.time_zone), acme.resets.hour) == ("Asia/Tokyo", 5)


def test_structured_fields_come_before_words_whatever_the_order_in_the_file() -> None:
    names = [rule.name for rule in read_catalog({"acme": ACME})["acme"].rules]
    assert names == ["acme:used-up", "acme:in-words"]


def test_a_child_takes_what_it_leaves_out_from_its_parent() -> None:
    child = read_catalog({"acme": ACME, "child": CHILD})["child"]
    assert child.probe == FreeProbe("/list", authenticates=False)
    assert child.key_travel.header_name == "x-acme-key"
    assert (child.base_url, child.help_url) == ("", "")
    assert [rule.name for rule in child.rules] == ["child:used-up", "acme:in-words"]


def test_a_plain_file_gets_bearer_keys_and_midnight_in_utc() -> None:
    plain = read_catalog({"plain": 'title = "P"\nerrors = { message = ["m"] }'})["plain"]
    assert (plain.key_travel, plain.resets, plain.probe) == (KeyTravel(), QuotaResets(), None)


def test_an_abstract_file_only_lends_its_tables() -> None:
    assert "http" not in load_catalog()
    assert not read_catalog({"base": 'title = "B"\nabstract = true'})


def test_every_fault_of_every_file_is_told_at_once_with_its_place() -> None:
    faults = faults_of(
        broken="title = ",
        typo='title = "T"\ntitel = "x"\n[probe]\npath = "models"\nauthenticates = 7',
        lost='title = "L"\nextends = "nobody"',
        zone='title = "Z"\nerrors = { message = ["m"] }\nresets = { time_zone = "Mars/Base" }',
        odd_zone='title = "O"\nerrors = { message = ["m"] }\nresets = { time_zone = "../etc" }',
        mute='title = "M"',
    )
    assert len(faults) == 8
    for start in (
        "broken: ",
        "typo: titel: ",
        "typo: probe.path: ",
        "typo: probe.authenticates: ",
        "lost: extends: no usable file is named 'nobody'",
        "zone: resets.time_zone: no time zone is named 'Mars/Base'",
        "odd_zone: resets.time_zone: ",
        "mute: errors.message: ",
    ):
        assert any(fault.startswith(start) for fault in faults), (start, faults)


def test_files_that_extend_each_other_are_refused() -> None:
    first, second = 'title = "A"\nextends = "b"', 'title = "B"\nextends = "a"'
    assert len(faults_of(a=first, b=second)) == 2


def test_two_rules_of_one_name_are_refused() -> None:
    rule = ACME[ACME.rindex("[[rules]]") :]
    (fault,) = faults_of(acme=ACME + rule)
    assert fault == "acme: rules.2 (used-up): an earlier rule has the same name"


def test_an_inherited_rule_is_replaced_on_purpose_or_not_at_all() -> None:
    by_accident = CHILD.replace("replaces = true\n", "")
    (fault,) = faults_of(acme=ACME, child=by_accident)
    assert fault.startswith("child: rules.0 (used-up): an inherited rule has this name")
    for_nothing = CHILD.replace('"used-up"\nreplaces', '"used-down"\nreplaces')
    (fault,) = faults_of(acme=ACME, child=for_nothing)
    assert fault.startswith("child: rules.0 (used-down): no inherited rule has this name")


def test_a_free_call_is_not_inherited_by_another_base_url() -> None:
    elsewhere = CHILD.replace('[probe]\npath = "/list"\nauthenticates = false\n', "")
    assert read_catalog({"acme": ACME, "child": elsewhere})["child"].probe is not None
    elsewhere = elsewhere.replace(
        'extends = "acme"', 'extends = "acme"\nbase_url = "https://c.test"'
    )
    assert read_catalog({"acme": ACME, "child": elsewhere})["child"].probe is None


def test_a_printed_name_goes_into_a_field_that_there_is() -> None:
    (fault,) = faults_of(acme=ACME.replace('error_name = "code"', 'error_name = "kind"'))
    assert fault == "acme: errors.error_name: no field is named 'kind'"


def test_a_poisonous_rule_is_told_beside_what_cannot_be_read() -> None:
    broken = ACME.replace("hour = 5", "hour = 99").replace("[429]", "[400]")
    broken = broken.replace('kind = "QUOTA_EXHAUSTED"', 'kind = "MONEY"')
    faults = faults_of(acme=broken)
    places = ["acme: resets.hour", "acme: rules.1.kind", "acme: rules.0 (in-words)"]
    assert [fault[: len(place)] for fault, place in zip(faults, places, strict=True)] == places


def test_rules_that_are_no_list_are_one_fault() -> None:
    (fault,) = faults_of(acme='title = "A"\nrules = 7')
    assert fault.startswith("acme: rules: ")
