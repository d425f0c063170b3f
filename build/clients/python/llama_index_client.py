from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.ollama import Ollama
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from tasks import *

like = OpenAILike(model=MODEL, api_base=V1, api_key=KEY, is_chat_model=True, is_function_calling_model=True, context_window=2048, max_tokens=100, temperature=0, max_retries=0, timeout=300)
ollama = Ollama(model=MODEL, base_url=BASE, request_timeout=300, context_window=2048, temperature=0, additional_kwargs={"num_predict": 100})
ASKED = [ChatMessage(role="user", content=QUESTION)]


class City(BaseModel):
    name: str
    inhabitants: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return "12 degrees and rain"


def chat():
    for llm in (like, ollama):
        says(llm.chat(ASKED).message.content)


def stream():
    for llm in (like, ollama):
        streams([p.delta for p in llm.stream_chat(ASKED)])


def tool():
    reply = like.chat_with_tools([FunctionTool.from_defaults(get_weather)], user_msg=CITY, tool_required=True)
    call = like.get_tool_calls_from_response(reply)[0]
    assert call.tool_name == "get_weather" and "city" in call.tool_kwargs, call


def structured():
    reply = ollama.as_structured_llm(City).chat([ChatMessage(role="user", content="Describe Oslo.")])
    assert isinstance(reply.raw, City), reply


def embed():
    alike(OpenAILikeEmbedding(model_name=MODEL, api_base=V1, api_key=KEY).get_text_embedding_batch(TEXTS))
    vectors = OllamaEmbedding(model_name=MODEL, base_url=BASE).get_text_embedding_batch(TEXTS)
    assert len(vectors) == len(TEXTS), len(vectors)


run(chat=chat, stream=stream, tool=tool, structured=structured, embed=embed)
