from typing import Literal

import instructor
import openai
from pydantic import BaseModel

from tasks import *

raw = openai.OpenAI(base_url=V1, api_key=KEY, max_retries=0, timeout=300)
ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Describe Oslo."}], "max_tokens": 200, "temperature": 0, "max_retries": 1}


class City(BaseModel):
    name: Literal["Oslo", "Bergen"]
    inhabitants: int


def asks(mode):
    return instructor.from_openai(raw, mode=mode).chat.completions.create(**ASK, response_model=City)


run(
    tool=lambda: is_city(asks(instructor.Mode.TOOLS)),
    structured=lambda: is_city(asks(instructor.Mode.JSON_SCHEMA)),
)
