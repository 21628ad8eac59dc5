"""What the container image promises, read off its recipe."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from broker.config import Settings
from broker.config.forms import parse_address
from broker.config.settings import PREFIX
from broker.config.stores import database_path

ROOT = Path(__file__).parents[3]
SECRET_WORDS = re.compile(r"token|password|secret|credential|api_?key|index.?url", re.IGNORECASE)


class Instruction(NamedTuple):
    word: str
    rest: str


def instructions() -> list[Instruction]:
    """The Dockerfile's instructions, each on one line."""
    text = (ROOT / "Dockerfile").read_text()
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def all_of(word: str) -> list[str]:
    return [each.rest for each in instructions() if each.word == word]


def the(word: str) -> str:
    (only,) = all_of(word)
    return only


def environment() -> dict[str, str]:
    """What the image sets for the broker."""
    pairs = (pair.partition("=") for pair in all_of("ENV")[-1].split())
    return {name: value for name, _, value in pairs}


def copied() -> set[str]:
    """What the build takes out of the repository."""
    sources: set[str] = set()
    for rest in all_of("COPY"):
        *found, _ = rest.split()
        if not found[0].startswith("--from"):
            sources.update(found)
    return sources


def test_both_stages_stand_on_the_base_that_the_builder_names() -> None:
    assert instructions()[0].word == "ARG"
    assert all_of("ARG")[0].startswith("BASE_IMAGE=python:3.11-slim")
    assert all_of("FROM") == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]


def test_it_runs_as_a_user_by_number_that_is_not_root() -> None:
    user, group = the("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    after = [each.word for each in instructions()][::-1]
    assert "RUN" not in after[: after.index("USER")]


def test_everything_that_is_installed_is_pinned_by_hash_or_comes_from_here() -> None:
    steps = [step.split() for rest in all_of("RUN") for step in rest.split("&&")]
    installs = [step for step in steps if "install" in step and step[0] != "install"]
    assert len(installs) == 3
    assert all(("--require-hashes" in step) != ("--no-index" in step) for step in installs)
    wheels = [step for step in steps if "wheel" in step]
    assert all({"--no-index", "--no-deps", "--no-build-isolation"} <= set(step) for step in wheels)


@pytest.mark.parametrize("name", ["build", "runtime"])
def test_each_requirement_of_the_image_has_a_hash_and_the_version_that_is_tested(name: str) -> None:
    tested = (ROOT / "requirements/dev.txt").read_text()
    text = (ROOT / f"requirements/{name}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert {entry.split()[0] for entry in entries} <= {line.split()[0] for line in lines_of(tested)}


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and line[0] not in " #"]


def test_signals_reach_the_broker_itself() -> None:
    """A shell between them would keep SIGTERM for itself, and nothing would drain."""
    assert json.loads(the("ENTRYPOINT")) == ["keybroker"]
    assert json.loads(the("CMD")) == ["serve"]
    assert the("STOPSIGNAL") == "SIGTERM"


def test_its_health_is_asked_for_with_what_the_image_has() -> None:
    _, _, command = the("HEALTHCHECK").partition(" CMD ")
    python, _, script = json.loads(command)
    assert python.startswith("/opt/keybroker/bin/python")
    assert (ROOT / "deploy/container" / Path(script).name).is_file()


def test_all_that_it_writes_is_in_the_volume() -> None:
    kept = database_path(environment()["KEYBROKER_DATABASE"])
    assert kept is not None
    assert str(kept.parent) == the("VOLUME") == all_of("WORKDIR")[-1]
    owner, _, group = the("USER").partition(":")
    assert f"install -d -m 0700 -o {owner} -g {group} {kept.parent}" in all_of("RUN")
    assert environment()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_it_sets_settings_that_there_are_and_shows_the_ports_they_name() -> None:
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment().items()
        if name.startswith(PREFIX)
    }
    settings = Settings.model_validate(given)
    ports = {parse_address(listen).port for listen in (settings.grpc_listen, settings.http_listen)}
    assert {int(port) for port in the("EXPOSE").split()} == ports


def test_no_secret_can_stay_in_a_layer() -> None:
    names = [*environment(), *all_of("ARG"), *all_of("LABEL")]
    assert not [name for name in names if SECRET_WORDS.search(name)]
    assert "://" not in (ROOT / "Dockerfile").read_text().replace("sqlite://", "")


def test_the_build_is_sent_what_it_copies_and_nothing_else() -> None:
    lines = lines_of((ROOT / ".dockerignore").read_text())
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert {source for source in copied() if not inside(source, let_in)} == set()
    assert {each for each in let_in if not any(inside(s, {each}) for s in copied())} == set()
    assert all((ROOT / source).exists() for source in copied())
    assert {"**/.*", "**/*.key", "**/*.db"} <= set(lines[len(let_in) :])


def inside(source: str, folders: set[str]) -> bool:
    return any(source == folder or source.startswith(f"{folder}/") for folder in folders)
