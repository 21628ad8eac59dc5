"""The switchboard over HTTP, for those who run the simulator as a program.

`POST /_control/<command>` takes the arguments of the Switchboard method of that name as one JSON
object. `GET /_control/keys` and `/_control/calls` tell the state, without one secret.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from pydantic import ValidationError, validate_call

from simulator.keys import DuplicateKeyError, Key, UnknownKeyError
from simulator.switchboard import Switchboard, UnknownDialectError
from simulator.wire import Answer, Request, json_answer

CONTROL_PATH: Final = "/_control/"

_COMMANDS: Final = frozenset(
    {
        "add_key",
        "revoke",
        "restore",
        "empty",
        "refill",
        "restrict",
        "permit",
        "limit_for",
        "limit_count",
        "limit_concurrency",
        "unlimit",
        "fault",
        "clear_faults",
        "fail_rate",
        "hang",
        "release",
        "slow",
        "generate_for",
        "models_are_public",
        "forget_calls",
    }
)


def control(board: Switchboard, request: Request) -> Answer:
    """Carry out one command, or tell the state."""
    name = request.path.removeprefix(CONTROL_PATH)
    if request.method == "GET" and name in _VIEWS:
        return json_answer(200, _VIEWS[name](board))
    if request.method == "POST" and name in _COMMANDS:
        return _carry_out(getattr(board, name), request.document() if request.body else {})
    return _refused(404, f"POST one of {sorted(_COMMANDS)}, or GET one of {sorted(_VIEWS)}")


def _carry_out(command: Callable[..., object], arguments: Mapping[str, object] | None) -> Answer:
    if arguments is None:
        return _refused(400, "the body is not a JSON object")
    try:
        result = validate_call(command)(**arguments)
    except ValidationError as error:
        # Without the input: a rejected argument may be a secret.
        return _refused(400, json.loads(error.json(include_input=False, include_url=False)))
    except (UnknownKeyError, UnknownDialectError) as error:
        return _refused(404, str(error))
    except DuplicateKeyError as error:
        return _refused(409, str(error))
    return json_answer(200, {"label": result.label} if isinstance(result, Key) else {})


def _refused(status: int, message: object) -> Answer:
    return json_answer(status, {"error": message})


def _keys(board: Switchboard) -> object:
    return [
        {
            "label": key.label,
            "dialect": key.dialect,
            "account": key.account,
            "models": list(key.models),
            "revoked": key.revoked,
            "wallet_empty": board.keys.is_broke(key),
            "in_flight": key.in_flight,
            "calls": key.calls,
            "answers": {str(status): count for status, count in sorted(key.answers.items())},
        }
        for key in board.keys.all()
    ]


def _calls(board: Switchboard) -> object:
    return [asdict(call) for call in board.calls]


_VIEWS: Final[Mapping[str, Callable[[Switchboard], object]]] = {"keys": _keys, "calls": _calls}
