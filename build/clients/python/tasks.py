"""What the scripts of all clients share.

Each is called with the server's address, the model and the names of tasks. For each task it
prints a line: "ok TASK", "FAILED TASK: why", or "none TASK: why" where the client has no such
task. Requests are small: the model is, and computes on a processor.
"""

import os
import sys
import time

BASE, MODEL, WANTED = sys.argv[1], sys.argv[2], sys.argv[3:]
V1 = BASE + "/v1"
KEY = "none"

QUESTION = "Write a Go function that adds two integers. Only the code."
CITY = "What is the weather in Oslo? Use the tool."
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "enum": ["Oslo", "Bergen"]}, "inhabitants": {"type": "integer"}},
    "required": ["name", "inhabitants"],
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
# The first two are about the same.
TEXTS = ["The lighthouse warns ships at night.", "A lighthouse guides boats in the dark.", "Add two eggs and a cup of sugar to the dough."]


def says(text):
    assert isinstance(text, str) and text.strip(), f"nothing was said: {text!r}"


def streams(pieces):
    pieces = [p for p in pieces if p]
    assert len(pieces) > 1, f"no stream: {pieces!r}"
    says("".join(pieces))


def is_city(obj):
    if not isinstance(obj, dict):
        obj = obj.model_dump() if hasattr(obj, "model_dump") else vars(obj)
    assert obj["name"] in ("Oslo", "Bergen") and isinstance(obj["inhabitants"], int), obj


def calls(name, arguments):
    assert name == "get_weather" and arguments["city"] in ("Oslo", "Bergen"), (name, arguments)


def alike(vectors):
    def like(a, b):
        return sum(x * y for x, y in zip(a, b))

    assert len(vectors) == len(TEXTS) and all(abs(like(v, v) - 1) < 1e-3 for v in vectors), [len(v) for v in vectors]
    assert like(vectors[0], vectors[1]) > like(vectors[0], vectors[2]), "what is alike is not near"


def run(**tasks):
    failed = False
    for name in WANTED:
        task = tasks.get(name)
        if task is None or isinstance(task, str):
            print(f"none {name}: {task or 'the client has none'}", flush=True)
            continue
        began = time.monotonic()
        try:
            task()
            print(f"ok {name} {time.monotonic() - began:.1f} s", flush=True)
        except Exception as err:
            failed = True
            print(f"FAILED {name}: {type(err).__name__}: {' '.join(str(err).split())[:600]}", flush=True)
    sys.stdout.flush()
    os._exit(failed)  # some clients leave threads behind
