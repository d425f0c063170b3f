"""The command llm, with OpenAI's API by its configuration and Ollama's by a plugin."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from tasks import *

home = pathlib.Path(tempfile.mkdtemp(dir=os.environ.get("SKERRY_CLIENTS_WORK")))
(home / "extra-openai-models.yaml").write_text(f"- model_id: skerry\n  model_name: {MODEL}\n  api_base: {V1}\n  supports_schema: true\n  supports_tools: true\n")
os.environ |= {"LLM_USER_PATH": str(home), "OLLAMA_HOST": BASE, "OPENAI_API_KEY": KEY}
llm = [os.path.join(os.path.dirname(sys.executable), "llm")]


def command(*args):
    done = subprocess.run([*llm, *args], capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listing():
    shown = command("models")
    assert "skerry" in shown and "ollama/" + MODEL in shown, shown


def chat():
    says(command("-m", "skerry", "--no-stream", "-o", "max_tokens", "24", QUESTION))
    says(command("-m", "ollama/" + MODEL, "--no-stream", "-o", "num_predict", "24", QUESTION))


def stream():
    says(command("-m", "skerry", "-o", "max_tokens", "24", QUESTION))


def structured():
    is_city(json.loads(command("-m", "skerry", "--no-stream", "--schema", json.dumps(SCHEMA), "Describe Oslo.")))


run(list=listing, chat=chat, stream=stream, structured=structured, embed="its plugin asks only models that /api/show calls embedding models", tool="it calls tools only where the model asks, which a small one does not")
