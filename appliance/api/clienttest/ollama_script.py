"""Ollama's package, unmodified, through all that it may ask of the server."""

import json

import ollama

from checks import BASE, MODEL, QUESTION, SCHEMA, TOOL, at_once, equal, flood, main, middle_word, obeys, raises

client = ollama.Client(host=BASE, timeout=300)


def ask(options={}, **extra):
    options = {"temperature": 0, "num_predict": 40} | options
    return client.chat(**{"model": MODEL, "messages": QUESTION, "options": options} | extra)


def text_of(parts):
    return "".join(p.message.content for p in parts)


def check_list():
    assert MODEL + ":latest" in [m.model for m in client.list().models], client.list()
    assert client.ps().models[0].context_length > 0
    shown = client.show(MODEL)
    assert "completion" in shown.capabilities and shown.details.format == "gguf", shown
    assert shown.modelinfo["general.architecture"], shown


def check_library():
    if MODEL == "fake-135m":
        return  # which has none
    client.copy(MODEL, "a-copy:of-it")
    try:
        assert "a-copy:of-it" in [m.model for m in client.list().models], client.list()
        equal(client.show("A-Copy:of-it").details.family, client.show(MODEL).details.family)
        assert ask({"num_predict": 3}, model="a-copy:of-it").message.content
        equal(client.create("another-copy", from_=MODEL).status, "success")
        equal(client.delete("another-copy").status, "success")
        equal([p.status for p in client.pull(MODEL, stream=True)][-1], "success")
    finally:
        client.delete("a-copy:of-it")
    assert "a-copy:of-it" not in [m.model for m in client.list().models], client.list()
    for call in (lambda: client.delete("no-such-model"), lambda: client.copy("no-such-model", "x"), lambda: client.show("no-such-model")):
        equal(raises(ollama.ResponseError, call).status_code, 404)
    equal(raises(ollama.ResponseError, lambda: client.create("x", from_=MODEL, system="be brief")).status_code, 400)


def check_chat():
    for name in (MODEL, MODEL + ":latest"):
        reply = ask(model=name)
        assert reply.message.content and reply.message.role == "assistant" and reply.done, reply
        equal(reply.model, name)
        assert reply.done_reason in ("stop", "length"), reply
        assert 0 < reply.eval_count <= 40 and reply.prompt_eval_count > 0, reply
        assert reply.total_duration >= reply.eval_duration > 0, reply
    equal(ask({"num_predict": 3}).done_reason, "length")


def check_generate():
    options = {"temperature": 0, "num_predict": 12}
    reply = client.generate(MODEL, "What is a lighthouse for?", system="Be brief.", options=options)
    assert reply.response and reply.eval_count <= 12, reply
    raw = client.generate(MODEL, "The lighthouse", raw=True, options=options)
    assert raw.response, raw
    loaded = client.generate(MODEL)
    equal((loaded.response, loaded.done_reason), ("", "load"))


def check_stream():
    parts = list(ask(stream=True))
    equal(text_of(parts), ask().message.content)
    assert parts[-1].done and parts[-1].eval_count > 0 and not any(p.done for p in parts[:-1])
    options = {"temperature": 0, "num_predict": 12}
    parts = client.generate(MODEL, "The lighthouse", raw=True, options=options, stream=True)
    equal("".join(p.response for p in parts), client.generate(MODEL, "The lighthouse", raw=True, options=options).response)


def check_stop():
    whole = ask().message.content
    word = middle_word(whole)
    equal(ask({"stop": [word]}).message.content, whole[: whole.index(word)])
    equal(text_of(ask({"stop": [word]}, stream=True)), whole[: whole.index(word)])


def check_seed():
    first, again = (ask({"temperature": 0.9, "seed": 7}) for _ in range(2))
    equal(first.message.content, again.message.content)


def check_logprobs():
    reply = ask({"num_predict": 5}, logprobs=True, top_logprobs=3)
    assert reply.logprobs and all(p.logprob <= 0 and len(p.top_logprobs) == 3 for p in reply.logprobs), reply


def check_schema():
    for seed in range(3):
        reply = ask({"num_predict": 200, "seed": seed, "temperature": 1}, format=SCHEMA)
        obeys(json.loads(reply.message.content))


def check_tool():
    question = [{"role": "user", "content": "What is the weather in Oslo?"}]
    wanted = {"num_predict": 200, "tool_choice": "required"}  # a small model does not call unasked
    reply = ask(wanted, messages=question, tools=[TOOL])
    call = reply.message.tool_calls[0]
    equal(call.function.name, "get_weather")
    assert call.function.arguments["city"] in ("Oslo", "Bergen"), call
    streamed = [c for p in ask(wanted, messages=question, tools=[TOOL], stream=True) for c in p.message.tool_calls or []]
    equal(streamed[0].function, call.function)
    result = [reply.message, {"role": "tool", "tool_name": "get_weather", "content": "12 degrees and rain"}]
    reply = ask({"tool_choice": "none"}, messages=question + result, tools=[TOOL])
    assert reply.message.content, reply


def check_errors():
    err = raises(ollama.ResponseError, lambda: ask(model="no-such-model"))
    equal(err.status_code, 404)
    assert "not found" in err.error, err
    image = [{"role": "user", "content": "What is it?", "images": [b"\x89PNG"]}]
    err = raises(ollama.ResponseError, lambda: ask(messages=image))
    equal(err.status_code, 400)
    assert "no vision" in err.error, err
    equal(raises(ollama.ResponseError, lambda: ask({"temperature": "hot"})).status_code, 400)
    equal(raises(ollama.ResponseError, lambda: list(ask(model="no-such-model", stream=True))).status_code, 404)
    equal(raises(ollama.ResponseError, lambda: client.embed("no-such-model", "x")).status_code, 404)
    err = raises(ollama.ResponseError, lambda: client.pull("no-such-model"))
    assert "no-such-model" in err.error, err


def check_embed():
    reply = client.embed(MODEL, ["A ship", "A lamp"])
    assert len(reply.embeddings) == 2 and reply.prompt_eval_count > 0 and reply.total_duration >= 0, reply
    equal(list(client.embeddings(MODEL, "A ship").embedding), list(reply.embeddings[0]))
    equal(client.embed(MODEL, "").embeddings, [])


def check_eight_at_once():
    replies = at_once(8, lambda i: ask({"seed": i, "temperature": 0.8, "num_predict": 16}))
    assert all(r.message.content for r in replies), replies


def check_rate_limit():
    def opened(i):
        return ask({"num_predict": 400, "seed": i, "temperature": 1}, stream=True)

    def refused():
        raise flood(opened, ollama.ResponseError)

    equal(raises(ollama.ResponseError, refused).status_code, 429)


def check_unload():
    equal(client.generate(MODEL, keep_alive=0).done_reason, "unload")
    assert ask({"num_predict": 3}, keep_alive=-1).message.content


main(globals())
