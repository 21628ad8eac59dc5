"""The client needs gRPC, protobuf and the common protos, and nothing of the server's."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

CLIENT = Path(__file__).parents[2] / "clients" / "python"
ALLOWED = {"google", "grpc", "keybroker", "typing_extensions"}

PROGRAM = """
import sys

allowed = set(sys.argv[1].split(",")) | sys.stdlib_module_names


class Refusing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed:
            raise ImportError(f"the client must not need {name}")
        return None


sys.meta_path.insert(0, Refusing())
for name in list(sys.modules):
    if name.partition(".")[0] not in allowed:
        del sys.modules[name]

import keybroker

with keybroker.Client() as client:
    assert client
assert keybroker.AsyncClient()
print(",".join(sorted(keybroker.__all__)))
"""


def test_it_imports_and_starts_where_the_servers_dependencies_are_refused() -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, ",".join(sorted(ALLOWED))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "AsyncClient" in done.stdout


def test_the_refusal_in_that_test_refuses() -> None:
    program = PROGRAM.replace("import keybroker\n", "import structlog\n", 1)
    command = [sys.executable, "-c", program, ",".join(sorted(ALLOWED))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "must not need structlog" in done.stderr


def test_the_package_declares_just_those() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[><=~ ]", each)[0] for each in project["dependencies"]}
    assert names == {"grpcio", "protobuf", "googleapis-common-protos"}


def test_it_says_that_it_is_typed() -> None:
    assert (CLIENT / "src" / "keybroker" / "py.typed").exists()
