from typing import Literal

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tasks import *

model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=V1, api_key=KEY))
SETTINGS = {"max_tokens": 100, "temperature": 0, "timeout": 300}


class City(BaseModel):
    name: Literal["Oslo", "Bergen"]
    inhabitants: int


def tool():
    # Its output is a call of a tool, which it requires.
    is_city(Agent(model, output_type=City, model_settings=SETTINGS).run_sync("Describe Oslo.").output)


def stream():
    import asyncio

    async def pieces():
        async with Agent(model, model_settings=SETTINGS).run_stream(QUESTION) as reply:
            return [p async for p in reply.stream_text(delta=True, debounce_by=None)]

    streams(asyncio.run(pieces()))


run(
    chat=lambda: says(Agent(model, model_settings=SETTINGS).run_sync(QUESTION).output),
    stream=stream,
    tool=tool,
    structured=lambda: is_city(Agent(model, output_type=NativeOutput(City), model_settings=SETTINGS).run_sync("Describe Oslo.").output),
)
