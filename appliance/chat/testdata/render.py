"""Writes rendered.json: the templates and conversations of this directory rendered by
Jinja2 with the settings of Hugging Face. Run it after changing either."""
import datetime, glob, json, os
import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

here = os.path.dirname(os.path.abspath(__file__))


def tojson(x, ensure_ascii=False, indent=None):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


with open(os.path.join(here, "conversations.json")) as f:
    conversations = json.load(f)
rendered = {}
for path in sorted(glob.glob(os.path.join(here, "templates", "*.jinja"))):
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = datetime.datetime(2026, 11, 26, 5, 30).strftime
    with open(path) as f:
        template = env.from_string(f.read())
    for name, c in conversations.items():
        key = os.path.basename(path).removesuffix(".jinja") + "/" + name
        try:
            rendered[key] = template.render(messages=c["messages"], tools=c.get("tools"), add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
        except jinja2.exceptions.TemplateError as e:
            rendered[key] = "error: " + str(e)
with open(os.path.join(here, "rendered.json"), "w") as f:
    json.dump(rendered, f, indent=1, ensure_ascii=False, sort_keys=True)
