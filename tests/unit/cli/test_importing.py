"""Importing from a file: what is sent, what is said, and that what is not whole breaks off."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from broker.cli.exits import Exit
from keybroker.v1 import admin_pb2, status_pb2
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.samples import SECRET
from tests.unit.cli.scripted import Fault, Scripted

HEADER = "tenant_id,provider,secret"
CSV = f"{HEADER}\nacme,openai,{SECRET}\nbravo,groq,sk-2\n"
Request = admin_pb2.ImportKeysRequest
Answer = admin_pb2.ImportKeysResponse


class Taking:
    """A broker's side of an import: it answers every message, and faults where it is told to."""

    def __init__(self, faults: dict[int, str] | None = None, untold: int = 0) -> None:
        self.requests: list[Request] = []
        self.faults = faults or {}
        self.untold = untold
        self.has_ended = False
        self.is_over = threading.Event()

    def __call__(self, requests: Iterator[Request]) -> Any:
        checked = 0
        try:
            for request in requests:
                self.requests.append(request)
                checked += len(request.keys)
                yield Answer(checked_count=checked, faults=self._faults(request))
            yield Answer(checked_count=checked)  # a stream that broke off may look like its end
            self.has_ended = True
            wrong = bool(self.faults) or self.untold
            yield Answer(
                checked_count=checked,
                done=True,
                created_count=0 if wrong else checked,
                untold_fault_count=self.untold,
            )
        finally:
            self.is_over.set()

    def _faults(self, request: Request) -> list[admin_pb2.ImportFault]:
        return [
            admin_pb2.ImportFault(line=key.line, message=self.faults[key.line])
            for key in request.keys
            if key.line in self.faults
        ]

    @property
    def keys(self) -> list[admin_pb2.ImportedKey]:
        return [key for request in self.requests for key in request.keys]

    def broke_off(self) -> bool:
        """Did the stream end without its end? That takes a moment to get here."""
        gc.collect()
        return self.is_over.wait(5.0) and not self.has_ended


@pytest.fixture
def taking(broker: Scripted) -> Taking:
    taking = Taking()
    broker.on("ImportKeys", taking)
    return taking


def file_of(text: str | bytes, name: str = "keys.csv") -> str:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def test_all_keys_of_a_file_are_sent_with_their_lines(keybroker: Keybroker, taking: Taking) -> None:
    result = keybroker("keys", "import", file_of(CSV))
    assert (result.code, result.out, result.err) == (Exit.OK, "2 keys created.\n", "")
    sent = [(key.line, key.tenant_id, key.provider) for key in taking.keys]
    assert sent == [(2, "acme", "openai"), (3, "bravo", "groq")]
    assert taking.keys[0].secret.plaintext == SECRET
    assert not taking.requests[0].dry_run
    assert taking.has_ended


def test_a_dry_run_is_one_for_the_broker_too(keybroker: Keybroker, taking: Taking) -> None:
    result = keybroker("keys", "import", file_of(CSV), "--dry-run")
    assert (result.code, result.out) == (Exit.OK, "2 keys would be created; nothing was.\n")
    assert all(request.dry_run for request in taking.requests)


def test_keys_may_come_from_standard_input(keybroker: Keybroker, taking: Taking) -> None:
    line = f'{{"tenant_id": "acme", "provider": "openai", "secret": "{SECRET}"}}\n'
    assert keybroker("keys", "import", "-", stdin=line).out == "1 key created.\n"
    assert taking.keys[0].line == 1


def test_many_keys_are_sent_some_at_a_time(keybroker: Keybroker, taking: Taking) -> None:
    rows = "".join(f"acme,openai,sk-{number}\n" for number in range(4321))
    assert keybroker("keys", "import", file_of(f"{HEADER}\n{rows}")).out == "4321 keys created.\n"
    assert [len(request.keys) for request in taking.requests] == [500] * 8 + [321]
    assert [key.line for key in taking.keys] == list(range(2, 4323))


def test_large_keys_make_small_messages(keybroker: Keybroker, taking: Taking) -> None:
    rows = "".join(f"acme,openai,{'s' * 300_000}\n" for _ in range(9))
    assert keybroker("keys", "import", file_of(f"{HEADER}\n{rows}")).code == Exit.OK
    assert all(request.ByteSize() < 2 * 1024 * 1024 for request in taking.requests)
    assert [len(request.keys) for request in taking.requests] == [3, 3, 3]


def test_what_the_broker_finds_wrong_is_told_in_the_file_s_words(
    keybroker: Keybroker, broker: Scripted
) -> None:
    faults = {
        2: "settings.limits.concurrency: is negative",
        3: "settings.expire_time: is no time",
        4: "settings.weight: must be a number",
        5: "key_id: line 2 has the same",
    }
    rows = "".join(f"acme,openai,sk-{number}\n" for number in range(5))
    taking = Taking(faults)
    broker.on("ImportKeys", taking)
    result = keybroker("keys", "import", file_of(f"{HEADER}\n{rows}"))
    assert (result.code, result.out) == (Exit.USAGE, "")
    assert result.err.splitlines() == [
        "keys.csv:2: concurrency: is negative",
        "keys.csv:3: expires_at: is no time",
        "keys.csv:4: weight: must be a number",
        "keys.csv:5: key_id: line 2 has the same",
        "keybroker: nothing was created: 4 faults in keys.csv, as told above",
    ]


def test_faults_that_are_not_told_are_counted(keybroker: Keybroker, broker: Scripted) -> None:
    broker.on("ImportKeys", Taking({2: "secret: is required"}, untold=41))
    result = keybroker("keys", "import", file_of(CSV))
    assert result.code == Exit.USAGE
    assert "… and 41 more." in result.err
    assert "42 faults" in result.err


def test_a_line_that_is_no_key_breaks_the_stream_off_and_others_are_still_checked(
    keybroker: Keybroker, broker: Scripted
) -> None:
    taking = Taking({3: "provider: none of this name is configured"})
    broker.on("ImportKeys", taking)
    result = keybroker("keys", "import", file_of(f"{CSV}no,row\nacme,openai,sk-3\n"))
    assert result.code == Exit.USAGE
    assert result.err.splitlines() == [
        "keys.csv:3: provider: none of this name is configured",
        "keys.csv:4: has 2 values for 3 columns",
        "keybroker: nothing was created: 2 faults in keys.csv, as told above",
    ]
    assert [key.line for key in taking.keys] == [2, 3, 5]
    assert taking.broke_off()


def test_where_no_line_is_a_key_nothing_is_created(keybroker: Keybroker, taking: Taking) -> None:
    result = keybroker("keys", "import", file_of(f"{HEADER}\nno,row\n"))
    assert result.code == Exit.USAGE
    assert "keys.csv:2: has 2 values for 3 columns" in result.err
    assert taking.keys == []


@pytest.mark.parametrize("text", ["", HEADER, "\n\n"])
def test_a_file_without_keys_is_told(keybroker: Keybroker, taking: Taking, text: str) -> None:
    result = keybroker("keys", "import", file_of(text))
    assert result.code == Exit.USAGE
    assert "nothing was created: keys.csv holds no keys" in result.err
    assert not taking.has_ended


def test_a_dotenv_file_is_of_one_tenant(keybroker: Keybroker, broker: Scripted) -> None:
    taking = Taking()
    broker.on("ImportKeys", taking)
    names = [status_pb2.ProviderStatus(provider="my_vllm")]
    status = status_pb2.BrokerStatus(providers=names)
    broker.on("GetStatus", status_pb2.GetStatusResponse(status=status))
    file = file_of(f"OPENAI_API_KEY={SECRET}\nMY_VLLM_API_KEY=sk-2,sk-3\n", "acme.env")
    refused = keybroker("keys", "import", file)
    assert refused.code == Exit.USAGE
    assert "--tenant" in refused.err
    assert taking.requests == []
    assert keybroker("keys", "import", file, "--tenant", "acme").out == "3 keys created.\n"
    assert {key.tenant_id for key in taking.keys} == {"acme"}
    assert [(key.line, key.provider) for key in taking.keys] == [
        (1, "openai"),
        (2, "my_vllm"),
        (2, "my_vllm"),
    ]


def test_a_tenant_fills_in_and_contradicts(keybroker: Keybroker, taking: Taking) -> None:
    text = "provider,secret,tenant_id\nopenai,sk-1,\nopenai,sk-2,acme\nopenai,sk-3,bravo\n"
    result = keybroker("keys", "import", file_of(text), "--tenant", "acme")
    assert result.code == Exit.USAGE
    assert "keys.csv:4: tenant_id: is another than --tenant" in result.err
    assert [key.tenant_id for key in taking.keys] == ["acme", "acme"]
    assert taking.broke_off()


def test_a_provider_chooses(keybroker: Keybroker, taking: Taking) -> None:
    assert keybroker("keys", "import", file_of(CSV), "--provider", "groq").code == Exit.OK
    assert [key.provider for key in taking.keys] == ["groq"]
    result = keybroker("keys", "import", file_of(CSV), "--provider", "xai")
    assert "holds no keys of xai" in result.err


def test_a_form_may_be_named(keybroker: Keybroker, taking: Taking) -> None:
    file = file_of(CSV, "keys.jsonl")
    assert keybroker("keys", "import", file).code == Exit.USAGE
    assert keybroker("keys", "import", file, "--from", "csv").code == Exit.OK


def test_as_json_the_end_is_one_document(keybroker: Keybroker, broker: Scripted) -> None:
    broker.on("ImportKeys", Taking())
    result = keybroker("keys", "import", file_of(CSV), "--format", "json")
    whole = {"created_count": 2, "dry_run": False, "faults": [], "untold_fault_count": 0}
    assert result.json == whole
    broker.on("ImportKeys", Taking({3: "settings.weight: is odd"}))
    result = keybroker("keys", "import", file_of(CSV), "--format", "json", "--dry-run")
    assert result.code == Exit.USAGE
    assert result.json["faults"] == [{"line": 3, "message": "weight: is odd"}]
    assert result.json["dry_run"]


@pytest.mark.parametrize(
    ("file", "problem"),
    [("missing.csv", "No such file"), (".", "Is a directory"), ("", "Is a directory")],
)
def test_what_cannot_be_read_is_told(
    keybroker: Keybroker, taking: Taking, file: str, problem: str
) -> None:
    result = keybroker("keys", "import", file)
    assert result.code == Exit.USAGE
    assert problem in result.err
    assert taking.requests == []


def test_a_broker_that_refuses_at_once_is_told(keybroker: Keybroker, broker: Scripted) -> None:
    fault = Fault(
        grpc.StatusCode.FAILED_PRECONDITION, "sealed", "SEALED", {"cause": "the key is gone"}
    )
    broker.on("ImportKeys", fault)
    result = keybroker("keys", "import", file_of(CSV))
    assert result.code == Exit.STORE
    assert "the key is gone; nothing was created" in result.err
    assert SECRET not in result.err


def ends_with(fault: Fault) -> Any:
    """Takes everything, and then fails."""

    def answer(requests: Iterator[Request]) -> Any:
        for request in requests:
            yield Answer(checked_count=len(request.keys))
        raise AssertionError(fault)

    return answer


def test_after_a_lost_answer_nobody_knows_whether_it_was_made(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("ImportKeys", ends_with(Fault(grpc.StatusCode.UNAVAILABLE)))
    result = keybroker("keys", "import", file_of(CSV))
    assert result.code == Exit.FAILED
    assert "is not known: import the file again" in result.err
    result = keybroker("keys", "import", file_of(CSV), "--dry-run")
    assert result.err.endswith("nothing was created\n")


def test_no_broker_is_no_import(keybroker: Keybroker) -> None:
    result = keybroker("keys", "import", file_of(CSV), "--address", "127.0.0.1:1")
    assert result.code == Exit.UNREACHABLE
    assert "no broker answers" in result.err


def test_a_secret_on_the_command_line_is_refused(keybroker: Keybroker, taking: Taking) -> None:
    for given in (("--secret", SECRET), (SECRET,)):
        result = keybroker("keys", "import", file_of(CSV), *given)
        assert result.code == Exit.USAGE
        assert SECRET not in result.err + result.out
    assert taking.requests == []
