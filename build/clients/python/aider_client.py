"""The command aider, by both APIs: it is asked about a file, and edits one."""

import os
import pathlib
import subprocess
import sys
import tempfile

from tasks import *

WAYS = {"openai/" + MODEL: {"OPENAI_API_BASE": V1, "OPENAI_API_KEY": KEY}, "ollama_chat/" + MODEL: {"OLLAMA_API_BASE": BASE}}
COMMON = ["--yes-always", "--no-git", "--no-auto-commits", "--no-check-update", "--no-show-release-notes", "--analytics-disable", "--no-show-model-warnings", "--no-pretty", "--no-fancy-input", "--no-gitignore", "--no-detect-urls", "--no-suggest-shell-commands", "--map-tokens", "0"]


def aider(model, env, *args):
    """Returns what it says, and what it leaves of the file."""
    work = pathlib.Path(tempfile.mkdtemp(dir=os.environ.get("SKERRY_CLIENTS_WORK")))
    (work / "add.py").write_text("def add(a, b):\n    return a - b\n")
    program = os.path.join(os.path.dirname(sys.executable), "aider")
    done = subprocess.run([program, "--model", model, *COMMON, *args, "add.py"], cwd=work, env=os.environ | env | {"HOME": str(work)}, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "litellm." not in said, said  # whose errors it shows and goes on
    assert "Tokens:" in said, said
    return said, (work / "add.py").read_text()


def chat():
    for model, env in WAYS.items():
        _, left = aider(model, env, "--no-stream", "--chat-mode", "ask", "--message", "What does this file do? One sentence.")
        assert "a - b" in left, left


def edit():
    for model, env in WAYS.items():
        said, left = aider(model, env, "--stream", "--edit-format", "whole", "--message", "Fix the bug in add: it must return a + b.")
        assert "return a + b" in left, f"{model} left {left!r} and said {said}"


run(chat=chat, edit=edit)
