"""Bodies made to cost the classifier time: as long as they may be, and shaped against its parts."""

import json
from collections.abc import Mapping

from broker.core.outcome import MAX_BODY_BYTES

_DEEP = json.dumps({"error": {"message": json.dumps({"error": {"message": "x" * 300}})}})


def _filled(piece: str, head: str = "") -> bytes:
    """`head`, then `piece` as often as fits."""
    times = MAX_BODY_BYTES // len(piece) + 1
    return (head + piece * times).encode()[:MAX_BODY_BYTES]


HOSTILE_BODIES: Mapping[str, bytes] = {
    "open arrays": _filled("["),
    "open objects": _filled('{"a":'),
    "open errors": _filled('[{"error":'),
    "arrays in a string": _filled("[", '{"error":{"message":"'),
    "objects in a string": _filled('{\\"a\\":', '{"error":{"message":"'),
    "errors in errors": json.dumps([json.loads(_DEEP)] * 200).encode()[:MAX_BODY_BYTES],
    "many members": json.dumps({f"k{n}": n for n in range(2_000)}).encode()[:MAX_BODY_BYTES],
    "broken members": _filled('"a":1,', '{"error":{"message":"tool "x" failed", '),
    "single quotes": _filled("{'a':'b\\'"),
    "quotes": _filled('"'),
    "backslashes": _filled("\\\\", '{"error":"'),
    "digits": _filled("9", '{"error":{"code":'),
    "long string": _filled("x", '{"error":{"message":"'),
    "many errors": json.dumps(
        {"errors": [{"code": n, "message": "x"} for n in range(500)]}
    ).encode(),
    "many details": json.dumps(
        {"error": {"details": [{"reason": "R", "violations": [{"quotaId": "q"}] * 20}] * 24}}
    ).encode(),
    "events": _filled('data: {"error":{"code":"x","message":"{\\"error\\":1}"}}\n'),
    "broken events": _filled("data:error\n"),
    "empty events": _filled("data:\n", "data: error\n"),
    "pages": _filled("<body", "<html>"),
    "spaces": _filled(" "),
    "lines": _filled("\n"),
    "colons": _filled(":"),
    "not UTF-8": b"\xff" * MAX_BODY_BYTES,
    "phrases": _filled("the model ", "the model "),
    "gaps": _filled("x per ", "Rate limit reached for "),
    "waits": _filled("retry in 1 "),
    "durations": _filled("1h", "please retry in "),
    "statuses": _filled("401 "),
    "modules": _filled("aa."),
    "underscores": _filled("_"),
    "names": _filled("A", "litellm."),
    "frames": _filled("; then sent ", "received 1008 (policy violation) "),
}
