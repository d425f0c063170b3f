from langchain_core.tools import tool as a_tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tasks import *

chat = ChatOpenAI(model=MODEL, base_url=V1, api_key=KEY, max_tokens=100, temperature=0, max_retries=0, timeout=300)


@a_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "12 degrees and rain"


def tool():
    call = chat.bind_tools([TOOL], tool_choice="get_weather").invoke(CITY).tool_calls[0]
    calls(call["name"], call["args"])
    assert chat.bind_tools([get_weather], tool_choice="any").invoke(CITY).tool_calls, "no call"


def embed():
    # Its own tokens would be those of another model.
    embeddings = OpenAIEmbeddings(model=MODEL, base_url=V1, api_key=KEY, check_embedding_ctx_length=False)
    alike(embeddings.embed_documents(TEXTS))


run(
    chat=lambda: says(chat.invoke(QUESTION).content),
    stream=lambda: streams([p.content for p in chat.stream(QUESTION)]),
    tool=tool,
    structured=lambda: is_city(chat.with_structured_output(SCHEMA | {"title": "City", "description": "A city."}).invoke("Describe Oslo.")),
    embed=embed,
)
