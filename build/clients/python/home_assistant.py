"""The requests that Home Assistant's integrations send, in shapes written down here.

Its conversation agents stream, offer the tools of the house, and go on after a call with its
result; that of Ollama sets the context, keeps the model loaded and turns thinking off, that of
OpenAI uses the Responses API without keeping anything.
"""

import json
import urllib.request

from tasks import *

HOUSE = "You are a voice assistant for Home Assistant. Answer in plain text. Lights: kitchen (off)."
TURN_ON = {
    "name": "HassTurnOn",
    "description": "Turns on a device",
    "parameters": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "area": {"type": "string"}, "domain": {"type": "array", "items": {"type": "string"}}},
        "required": ["name"],
    },
}
ASKED = [{"role": "system", "content": HOUSE}, {"role": "user", "content": "Turn on the kitchen light."}]


def send(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        return reply.read().decode()


def ollama(messages, tools=None, **options):
    body = {
        "model": MODEL + ":latest", "messages": messages, "stream": True, "keep_alive": "-1s", "think": False,
        "options": {"num_ctx": 2048, "num_predict": 60, "temperature": 0} | options,
    }
    if tools:
        body["tools"] = tools
    lines = [json.loads(line) for line in send("/api/chat", body).splitlines()]
    assert lines[-1]["done"] and "eval_count" in lines[-1], lines[-1]
    return lines


def listing():
    assert MODEL + ":latest" in [m["name"] for m in json.loads(send("/api/tags"))["models"]]
    assert json.loads(send("/v1/models"))["data"]


def stream():
    streams([line["message"]["content"] for line in ollama([{"role": "system", "content": HOUSE}, {"role": "user", "content": "Say hello."}])])


def tool():
    said = [c for line in ollama(ASKED, [{"type": "function", "function": TURN_ON}], tool_choice="required") for c in line["message"].get("tool_calls") or []]
    call = said[0]["function"]
    assert call["name"] == "HassTurnOn" and isinstance(call["arguments"], dict) and "name" in call["arguments"], call
    result = [{"role": "assistant", "content": "", "tool_calls": [{"function": call}]}, {"role": "tool", "content": json.dumps({"speech": {}, "response_type": "action_done"}), "tool_name": "HassTurnOn"}]
    says("".join(line["message"]["content"] for line in ollama(ASKED + result)))


def responses(messages, **extra):
    body = {
        "model": MODEL, "input": [{"type": "message"} | m for m in messages], "stream": True, "store": False, "max_output_tokens": 60,
        "top_p": 1.0, "temperature": 0, "user": "conversation-1",
    } | extra
    return [json.loads(line[6:]) for line in send("/v1/responses", body).splitlines() if line.startswith("data: ") and line != "data: [DONE]"]


def chat():
    events = responses([{"role": "developer", "content": HOUSE}, {"role": "user", "content": "Say hello."}])
    streams([e["delta"] for e in events if e["type"] == "response.output_text.delta"])
    assert events[-1]["type"] in ("response.completed", "response.incomplete"), events[-1]
    events = responses([{"role": "user", "content": "Turn on the kitchen light."}], tools=[{"type": "function", "strict": False} | TURN_ON], tool_choice="required")
    call = [e["item"] for e in events if e["type"] == "response.output_item.done" and e["item"]["type"] == "function_call"][0]
    assert call["name"] == "HassTurnOn" and "name" in json.loads(call["arguments"]), call


def structured():
    form = {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}}
    events = responses([{"role": "user", "content": "Describe Oslo."}], text=form, max_output_tokens=100)
    is_city(json.loads("".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")))


run(list=listing, chat=chat, stream=stream, tool=tool, structured=structured)
