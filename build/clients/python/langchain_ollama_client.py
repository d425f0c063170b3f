from langchain_ollama import ChatOllama, OllamaEmbeddings

from tasks import *

chat = ChatOllama(model=MODEL, base_url=BASE, num_predict=100, temperature=0)


def tool():
    call = chat.bind_tools([TOOL], tool_choice="required").invoke(CITY, options={"tool_choice": "required", "num_predict": 100}).tool_calls[0]
    calls(call["name"], call["args"])


run(
    chat=lambda: says(chat.invoke(QUESTION).content),
    stream=lambda: streams([p.content for p in chat.stream(QUESTION)]),
    tool=tool,
    structured=lambda: is_city(chat.with_structured_output(SCHEMA | {"title": "City", "description": "A city."}, method="json_schema").invoke("Describe Oslo.")),
    embed=lambda: alike(OllamaEmbeddings(model=MODEL, base_url=BASE).embed_documents(TEXTS)),
)
