"""An answer that nothing is known about is counted and logged, so that a rule gets written."""

from structlog.testing import capture_logs

from broker.core.outcome import Outcome
from tests.unit.services.answers import BAD_KEY
from tests.unit.services.house import a_house
from tests.unit.services.status_given import a_key

BODY = b'{"code": "brand-new", "message": "Something odd: tell me about sk-ant-api03-1234567890"}'
STRANGE_ANSWER = Outcome(http_status=302, headers={"content-type": "application/json"}, body=BODY)


async def test_an_unknown_verdict_is_counted_and_logged_without_what_a_caller_wrote() -> None:
    house = await a_house(a_key("k"))
    with capture_logs() as logs:
        await house.call(STRANGE_ANSWER)
    assert house.meter.counts["judged_unknown", "openai", 302] == 1
    (line,) = [log for log in logs if log["event"] == "outcome_unrecognised"]
    assert (line["provider"], line["dialect"], line["http_status"]) == ("openai", "spoken", 302)
    assert (line["field_code"], line["words"]) == ("brand-new", "something odd")
    assert "1234567890" not in str(logs)


async def test_a_known_verdict_is_neither() -> None:
    house = await a_house(a_key("k"))
    with capture_logs() as logs:
        await house.call(BAD_KEY)
    assert not [log for log in logs if log["event"] == "outcome_unrecognised"]
    assert not [name for name in house.meter.counts if name[0] == "judged_unknown"]
