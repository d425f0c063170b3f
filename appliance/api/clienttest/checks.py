"""What both clients' scripts share: the questions, and how checks are run.

Each script takes the server's URL, the model and, to run them alone, names of checks.
"""

import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

BASE, MODEL, ONLY = sys.argv[1], sys.argv[2], sys.argv[3:]

QUESTION = [{"role": "user", "content": "What is a lighthouse for? Answer in two sentences."}]

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": ["lighthouse", "ship", "harbour"]},
        "lit": {"type": "boolean"},
        "count": {"type": "integer"},
    },
    "required": ["kind", "lit", "count"],
    "additionalProperties": False,
}

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Oslo", "Bergen"]}},
            "required": ["city"],
        },
    },
}


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def obeys(obj):
    equal(sorted(obj), ["count", "kind", "lit"])
    assert obj["kind"] in SCHEMA["properties"]["kind"]["enum"], obj
    assert isinstance(obj["lit"], bool) and isinstance(obj["count"], int), obj


def middle_word(text):
    """A word from the middle of a text, which stops it there."""
    words = text.split()
    assert len(words) > 4, f"too short to be stopped: {text!r}"
    return words[len(words) // 2]


def raises(kind, call):
    try:
        call()
    except kind as err:
        return err
    raise AssertionError(f"no {kind.__name__}")


def at_once(n, ask):
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(ask, range(n)))


def flood(opened, refusal):
    """Opens streams until one is refused, and returns the refusal."""
    stop, refused = threading.Event(), []

    def one(i):
        try:
            with closing(opened(i)) as stream:
                for _ in stream:
                    if stop.is_set():
                        return
        except refusal as err:
            refused.append(err)
            stop.set()

    at_once(64, one)
    assert refused, "64 at once, and none was refused"
    return refused[0]


def main(checks):
    failed = False
    for name, check in list(checks.items()):
        if not name.startswith("check_") or ONLY and name[6:] not in ONLY:
            continue
        began = time.monotonic()
        try:
            check()
            print(f"ok {name[6:]} {time.monotonic() - began:.1f} s")
        except Exception:
            failed = True
            print("FAILED", name[6:])
            traceback.print_exc(file=sys.stdout)
    sys.exit(failed)
