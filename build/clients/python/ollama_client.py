import json

import ollama

from tasks import *

client = ollama.Client(host=BASE, timeout=300)
ASK = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "options": {"num_predict": 24, "temperature": 0}}


def listing():
    assert MODEL + ":latest" in [m.model for m in client.list().models]


def tool():
    options = {"num_predict": 100, "temperature": 0, "tool_choice": "required"}  # small models do not call unasked
    reply = client.chat(**ASK | {"messages": [{"role": "user", "content": CITY}], "options": options}, tools=[TOOL])
    call = reply.message.tool_calls[0].function
    calls(call.name, call.arguments)


def structured():
    is_city(json.loads(client.chat(**ASK | {"options": {"num_predict": 100}}, format=SCHEMA).message.content))


run(
    list=listing,
    chat=lambda: says(client.chat(**ASK).message.content),
    stream=lambda: streams([p.message.content for p in client.chat(**ASK, stream=True)]),
    tool=tool,
    structured=structured,
    embed=lambda: alike(client.embed(MODEL, TEXTS).embeddings),
)
