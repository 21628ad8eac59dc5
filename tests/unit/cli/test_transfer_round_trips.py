"""Whatever is written is read as it was, and nothing that is read breaks a reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.cli.transfer.files import Form, read_keys
from broker.cli.transfer.json_rows import write_json_line
from keybroker.v1 import admin_pb2, key_pb2
from tests.unit.cli.test_transfer_files import HEADER, opened, read

PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))
TIMES = st.integers(1, 4_000_000_000).map(lambda s: {"seconds": s, "nanos": (s * 7919) % 10**9})
REVISIONS = st.builds(
    admin_pb2.SealedRevision,
    revision=PLAIN,
    sealed_by=PLAIN,
    wrapped_key=st.binary(max_size=80),
    ciphertext=st.binary(max_size=80),
    create_time=TIMES,
    authenticate_time=st.none() | TIMES,
)
LIMITS = st.builds(
    key_pb2.KeyLimits,
    concurrency=st.integers(0, 2**31 - 1),
    requests_per_minute=st.integers(0, 2**31 - 1),
    tokens_per_minute=st.integers(0, 2**63 - 1),
)
ANY_SETTINGS = st.builds(
    key_pb2.KeySettings,
    weight=st.floats(min_value=1e-9, max_value=1e9).filter(lambda weight: weight != 1),
    priority=st.integers(-(2**31), 2**31 - 1),
    models=st.dictionaries(PLAIN, PLAIN, max_size=4),
    limits=LIMITS,
    account=PLAIN,
    expire_time=st.none() | TIMES,
    base_url=PLAIN,
)
CONTENTS: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.builds(dict, secret=PLAIN.filter(bool).map(lambda t: key_pb2.SecretValue(plaintext=t))),
    st.lists(REVISIONS, min_size=1, max_size=3).map(
        lambda revisions: {"sealed": admin_pb2.SealedRevisions(revisions=revisions)}
    ),
)


@st.composite
def keys(draw: st.DrawFn) -> admin_pb2.ImportedKey:
    content = draw(CONTENTS)
    return admin_pb2.ImportedKey(
        line=1,
        tenant_id=draw(PLAIN),
        provider=draw(PLAIN),
        key_id=draw(PLAIN),
        settings=draw(ANY_SETTINGS),
        **content,  # type: ignore[arg-type]
    )


def with_whole_limits(key: admin_pb2.ImportedKey) -> admin_pb2.ImportedKey:
    """A message with no caps is as good as none."""
    if key.settings.limits == key_pb2.KeyLimits():
        key.settings.ClearField("limits")
    return key


@given(keys())
def test_what_was_written_is_read_as_it_was(key: admin_pb2.ImportedKey) -> None:
    line = write_json_line(key)
    assert line.isascii()
    assert line.count("\n") == 1
    (found,), faults = read(Form.JSONL, line)
    assert faults == {}
    assert with_whole_limits(found) == with_whole_limits(key)


@given(st.binary(max_size=300))
@pytest.mark.parametrize("form", [Form.CSV, Form.JSONL, Form.ENV])
def test_no_bytes_break_a_reader(form: Form, data: bytes) -> None:
    header = f"{HEADER}\n".encode() if form is Form.CSV else b""
    for _ in read_keys(form, opened(header + data), ["openai"]):
        pass


PLACES = {
    Form.CSV: f"{HEADER},weight,models,expires_at\na,b,c,{{text}}",
    Form.JSONL: '{{"secret": {text}, "models": {text}}}',
    Form.ENV: "OPENAI_API_KEY={text}\nOPENAI_API_KEY__MODELS={text}",
}


@given(st.text(max_size=60))
@pytest.mark.parametrize("form", PLACES)
def test_no_text_breaks_a_reader(form: Form, text: str) -> None:
    data = PLACES[form].format(text=text)
    for _ in read_keys(form, opened(data.encode("utf-8", "surrogatepass")), ["openai"]):
        pass
