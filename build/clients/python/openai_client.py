import json

import openai

from tasks import *

client = openai.OpenAI(base_url=V1, api_key=KEY, max_retries=0, timeout=300)
ASK = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 24, "temperature": 0}


def listing():
    assert MODEL in [m.id for m in client.models.list()]


def tool():
    reply = client.chat.completions.create(**ASK | {"messages": [{"role": "user", "content": CITY}], "tools": [TOOL], "tool_choice": "required", "max_tokens": 100})
    call = reply.choices[0].message.tool_calls[0].function
    calls(call.name, json.loads(call.arguments))


def structured():
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
    is_city(json.loads(client.chat.completions.create(**ASK | {"max_tokens": 100}, response_format=form).choices[0].message.content))


run(
    list=listing,
    chat=lambda: says(client.chat.completions.create(**ASK).choices[0].message.content),
    stream=lambda: streams([c.choices[0].delta.content for c in client.chat.completions.create(**ASK, stream=True) if c.choices]),
    tool=tool,
    structured=structured,
    embed=lambda: alike([d.embedding for d in client.embeddings.create(model=MODEL, input=TEXTS).data]),
)
