import asyncio
from typing import Literal

import openai
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from pydantic import BaseModel

from tasks import *

set_tracing_disabled(True)
client = openai.AsyncOpenAI(base_url=V1, api_key=KEY, max_retries=0, timeout=300)
MODELS = [OpenAIChatCompletionsModel(model=MODEL, openai_client=client), OpenAIResponsesModel(model=MODEL, openai_client=client)]
# An answer that is cut is an error to it, so this one is to be short.
SHORT = "Say hello in three words."
asked = []


class City(BaseModel):
    name: Literal["Oslo", "Bergen"]
    inhabitants: int


@function_tool
def get_weather(city: Literal["Oslo", "Bergen"]) -> str:
    """The weather in a city."""
    asked.append(city)
    return "12 degrees and rain"


def agent(model, choice=None, **extra):
    return Agent(name="Skerry", instructions="Be brief.", model=model, model_settings=ModelSettings(max_tokens=400, temperature=0, tool_choice=choice), **extra)


async def each(do):
    for model in MODELS:
        await do(model)


async def chat(model):
    says((await Runner.run(agent(model), SHORT)).final_output)


async def stream(model):
    run = Runner.run_streamed(agent(model), SHORT)
    streams([e.data.delta async for e in run.stream_events() if e.type == "raw_response_event" and e.data.type == "response.output_text.delta"])


async def tool(model):
    asked.clear()
    says((await Runner.run(agent(model, "required", tools=[get_weather]), CITY, max_turns=4)).final_output)
    assert asked, "no call"


async def structured(model):
    is_city((await Runner.run(agent(model, output_type=City), "Describe Oslo.")).final_output)


loop = asyncio.new_event_loop()
run(**{f.__name__: (lambda f=f: loop.run_until_complete(each(f))) for f in (chat, stream, tool, structured)})
