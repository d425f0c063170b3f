import json

import litellm

from tasks import *

WAYS = {"openai/" + MODEL: V1, "ollama_chat/" + MODEL: BASE}


def ask(model, base, content=QUESTION, **extra):
    return litellm.completion(**{"model": model, "api_base": base, "api_key": KEY, "messages": [{"role": "user", "content": content}], "max_tokens": 24, "temperature": 0, "timeout": 300, "num_retries": 0} | extra)


def each(do):
    def both():
        for model, base in WAYS.items():
            do(model, base)

    return both


def tool(model, base):
    if model.startswith("openai/"):
        call = ask(model, base, CITY, tools=[TOOL], tool_choice="required", max_tokens=100).choices[0].message.tool_calls[0].function
        calls(call.name, json.loads(call.arguments))


def structured(model, base):
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
    is_city(json.loads(ask(model, base, "Describe Oslo.", response_format=form, max_tokens=100).choices[0].message.content))


def too_long():
    try:
        ask("openai/" + MODEL, V1, "lighthouse " * 40000)
    except litellm.ContextWindowExceededError:
        return
    raise AssertionError("a prompt that does not fit is not recognised")


def embed():
    for model, base in {"openai/" + MODEL: V1, "ollama/" + MODEL: BASE}.items():
        reply = litellm.embedding(model=model, api_base=base, api_key=KEY, input=TEXTS)
        alike([d["embedding"] for d in reply.data])


def chat(model, base):
    says(ask(model, base).choices[0].message.content)
    if model.startswith("openai/"):
        too_long()


def stream(model, base):
    streams([c.choices[0].delta.content for c in ask(model, base, stream=True)])


run(chat=each(chat), stream=each(stream), tool=each(tool), structured=each(structured), embed=embed)
