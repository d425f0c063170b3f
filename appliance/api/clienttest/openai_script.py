"""OpenAI's package, unmodified, through all that it may ask of the server."""

import json
import uuid

import openai

from checks import BASE, MODEL, QUESTION, SCHEMA, TOOL, at_once, equal, flood, main, middle_word, obeys, raises

client = openai.OpenAI(base_url=BASE + "/v1", api_key="none", max_retries=0, timeout=300)


def ask(**extra):
    return client.chat.completions.create(**{"model": MODEL, "messages": QUESTION, "max_tokens": 40, "temperature": 0} | extra)


def text_of(stream):
    return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)


def check_list():
    models = client.models.list().data
    assert MODEL in [m.id for m in models], models
    equal(client.models.retrieve(MODEL).id, MODEL)


def check_chat():
    reply = ask()
    one = reply.choices[0]
    assert one.message.content and one.message.role == "assistant", reply
    assert one.finish_reason in ("stop", "length"), reply
    equal(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens)
    assert 0 < reply.usage.completion_tokens <= 40 and reply.usage.prompt_tokens > 0, reply.usage
    truth = reply.model_extra["skerry"]
    assert truth["mode"] and sum(truth["tokens_by_source"].values()) >= reply.usage.completion_tokens - 1, truth


def check_parts_and_length():
    parts = [{"role": "system", "content": "Be brief."},
             {"role": "user", "content": [{"type": "text", "text": "Name three seas."}]}]
    reply = ask(messages=parts, max_completion_tokens=3, max_tokens=None)
    equal(reply.choices[0].finish_reason, "length")
    equal(reply.usage.completion_tokens, 3)


def check_stream():
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    equal(chunks[0].choices[0].delta.role, "assistant")
    equal(text_of(chunks), ask().choices[0].message.content)
    assert all(c.usage is None for c in chunks[:-1])
    assert chunks[-1].usage.completion_tokens > 0 and not chunks[-1].choices
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")
    assert chunks[-1].model_extra["skerry"]["mode"]


def check_completions():
    ask = dict(model=MODEL, prompt="The lighthouse", max_tokens=8, temperature=0)
    reply = client.completions.create(**ask)
    assert reply.choices[0].text and reply.usage.completion_tokens <= 8, reply
    parts = client.completions.create(**ask, stream=True)
    equal("".join(c.choices[0].text for c in parts), reply.choices[0].text)
    probs = client.completions.create(**ask, logprobs=2).choices[0].logprobs
    assert len(probs.tokens) == len(probs.token_logprobs) == len(probs.text_offset) > 0, probs


def check_choices():
    reply = ask(n=2, seed=7, temperature=1, max_tokens=6)
    equal([c.index for c in reply.choices], [0, 1])
    said = {}
    for c in ask(n=2, seed=7, temperature=1, max_tokens=6, stream=True):
        for one in c.choices:
            said[one.index] = said.get(one.index, "") + (one.delta.content or "")
    equal(said, {c.index: c.message.content for c in reply.choices})
    two = client.completions.create(model=MODEL, prompt=["The lighthouse", "The skerry"], max_tokens=3, echo=True)
    assert two.choices[0].text.startswith("The lighthouse") and two.choices[1].text.startswith("The skerry"), two


def check_ignored():
    reply = ask(extra_body={"temprature": 1, "user": "somebody"})
    ignored = {one["field"]: one for one in reply.model_extra["skerry"]["ignored"]}
    equal(ignored["temprature"]["did_you_mean"], "temperature")
    assert "user" in ignored, ignored
    equal(raises(openai.BadRequestError, lambda: ask(extra_body={"mirostat": 2})).param, "mirostat")


def check_grammar():
    reply = ask(extra_body={"grammar": 'root ::= "yes" | "no"'})
    if reply.model != "fake-135m":
        assert reply.choices[0].message.content in ("yes", "no"), reply
        biased = ask(extra_body={"guided_choice": ["left", "right"]})
        assert biased.choices[0].message.content in ("left", "right"), biased


def check_responses():
    first = client.responses.create(model=MODEL, input="Name three seas.", max_output_tokens=16, temperature=0)
    assert first.output_text and first.status in ("completed", "incomplete"), first
    equal(first.usage.total_tokens, first.usage.input_tokens + first.usage.output_tokens)
    again = client.responses.create(model=MODEL, input="And a fourth?", previous_response_id=first.id, max_output_tokens=16)
    equal(again.previous_response_id, first.id)
    text, last = "", None
    for event in client.responses.create(model=MODEL, input="Name three seas.", max_output_tokens=16, temperature=0, stream=True, store=False):
        last = event
        if event.type == "response.output_text.delta":
            text += event.delta
    equal(text, first.output_text)
    assert last.type in ("response.completed", "response.incomplete") and last.response.output_text == text, last


def check_stop():
    whole = ask().choices[0].message.content
    word = middle_word(whole)
    for stop in (word, ["\u2603", word]):
        reply = ask(stop=stop)
        equal(reply.choices[0].message.content, whole[: whole.index(word)])
        equal(reply.choices[0].finish_reason, "stop")
    equal(text_of(ask(stop=word, stream=True)), whole[: whole.index(word)])


def check_seed():
    first, again = (ask(temperature=0.9, seed=7) for _ in range(2))
    equal(first.choices[0].message.content, again.choices[0].message.content)
    equal(first.system_fingerprint, again.system_fingerprint)
    equal(first.model_extra["skerry"]["seed"], 7)


def check_logprobs():
    for token in ask(logprobs=True, top_logprobs=3, max_tokens=5).choices[0].logprobs.content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3, token
        assert bytes(token.bytes).decode("utf-8", "replace") == token.token or "\ufffd" in token.token, token
    streamed = [t for c in ask(logprobs=True, stream=True, max_tokens=5) if c.choices and c.choices[0].logprobs
                for t in c.choices[0].logprobs.content]
    assert streamed


def check_schema():
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA, "strict": True}}
    for seed in range(3):
        reply = ask(response_format=form, max_tokens=200, seed=seed, temperature=1)
        obeys(json.loads(reply.choices[0].message.content))


def check_tool():
    named = {"type": "function", "function": {"name": "get_weather"}}
    question = [{"role": "user", "content": "What is the weather in Oslo?"}]
    reply = ask(messages=question, tools=[TOOL], tool_choice=named, max_tokens=200)
    said = reply.choices[0].message
    equal(reply.choices[0].finish_reason, "tool_calls")
    call = said.tool_calls[0]
    equal(call.function.name, "get_weather")
    assert json.loads(call.function.arguments)["city"] in ("Oslo", "Bergen"), call

    pieces = {}
    for c in ask(messages=question, tools=[TOOL], tool_choice=named, max_tokens=200, stream=True):
        for piece in (c.choices and c.choices[0].delta.tool_calls) or []:
            pieces.setdefault(piece.index, ["", ""])
            pieces[piece.index][0] += piece.function.name or ""
            pieces[piece.index][1] += piece.function.arguments or ""
    equal(pieces[0][0], "get_weather")
    equal(json.loads(pieces[0][1]), json.loads(call.function.arguments))

    result = [said.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "12 degrees and rain"}]
    reply = ask(messages=question + result, tools=[TOOL], tool_choice="none")
    assert reply.choices[0].message.content, reply


def check_errors():
    err = raises(openai.NotFoundError, lambda: ask(model="no-such-model"))
    equal(err.code, "model_not_found")
    raises(openai.NotFoundError, lambda: client.models.retrieve("no-such-model"))
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    err = raises(openai.BadRequestError, lambda: ask(messages=[{"role": "user", "content": image}]))
    assert "no vision" in err.message, err
    equal(raises(openai.BadRequestError, lambda: ask(n=17)).param, "n")
    equal(raises(openai.BadRequestError, lambda: ask(temperature="hot")).param, "temperature")
    equal(raises(openai.BadRequestError, lambda: client.embeddings.create(model=MODEL, input=[])).status_code, 400)


def check_embeddings():
    one = client.embeddings.create(model=MODEL, input="A lighthouse stands on the skerry.")
    plain = client.embeddings.create(model=MODEL, input="A lighthouse stands on the skerry.", encoding_format="float")
    # The client reads float32 out of base64, and decimals out of JSON.
    assert all(abs(a - b) < 1e-6 for a, b in zip(one.data[0].embedding, plain.data[0].embedding, strict=True)), plain
    assert one.usage.prompt_tokens > 0 and one.model_extra["skerry"]["pooling"] == "mean", one.usage
    two = client.embeddings.create(model=MODEL, input=["A ship", "A lamp"], dimensions=4)
    equal([(d.index, len(d.embedding)) for d in two.data], [(0, 4), (1, 4)])


def check_too_long():
    long = [{"role": "user", "content": "lighthouse " * 20000}]
    equal(raises(openai.BadRequestError, lambda: ask(messages=long)).code, "context_length_exceeded")


def check_eight_at_once():
    replies = at_once(8, lambda i: ask(seed=i, temperature=0.8, max_tokens=16))
    assert all(r.choices[0].message.content for r in replies), replies


def check_resume():
    """A stream that is dropped goes on by its last event id, without a gap."""
    session = {"X-Skerry-Session": f"script-{uuid.uuid4().hex}"}
    head, last = "", None
    raw = client.chat.completions.with_streaming_response
    with raw.create(model=MODEL, messages=QUESTION, max_tokens=40, temperature=0, stream=True, extra_headers=session) as r:
        for line in r.iter_lines():
            if line.startswith("id: "):
                last = line[4:]
            if line.startswith("data: "):
                head += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
            if len(head) > 20:
                break
    tail = text_of(ask(stream=True, extra_headers=session | {"Last-Event-ID": last}))
    equal(head + tail, ask().choices[0].message.content)


def check_rate_limit():
    err = flood(lambda i: ask(stream=True, max_tokens=400, seed=i, temperature=1), openai.RateLimitError)
    assert int(err.response.headers["retry-after"]) > 0, err.response.headers


main(globals())
