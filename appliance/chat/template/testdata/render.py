"""Renders chat templates with Jinja2 in the environment of Hugging Face's transformers.

    render.py golden           writes rendered.json and dialect.json of this directory
    render.py packages DIR     renders the templates in the packages (.whl, .tar.gz) of a
                               directory, and prints them with what comes out, as JSON

Run the first after changing a template, a conversation or a construct."""
import ast, datetime, glob, json, os, sys, tarfile, zipfile
import jinja2, jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

here = os.path.dirname(os.path.abspath(__file__))


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


class Refusal(jinja2.exceptions.TemplateError):
    pass


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def refuse(message):
    raise Refusal(message)


env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = refuse
env.globals["strftime_now"] = datetime.datetime(2026, 11, 26, 5, 30).strftime


def render(template, messages, tools=None):
    try:
        return template.render(messages=messages, tools=tools, documents=None, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
    except Refusal as e:
        return "error: " + str(e)


def load(name):
    with open(os.path.join(here, name)) as f:
        return json.load(f)


def save(name, value):
    with open(os.path.join(here, name), "w") as f:
        json.dump(value, f, indent=1, ensure_ascii=False, sort_keys=True)
        f.write("\n")


def golden():
    conversations, rendered = load("conversations.json"), {}
    for path in sorted(glob.glob(os.path.join(here, "templates", "*.jinja"))):
        with open(path) as f:
            template = env.from_string(f.read())
        for name, c in conversations.items():
            key = os.path.basename(path).removesuffix(".jinja") + "/" + name
            rendered[key] = render(template, c["messages"], c.get("tools"))
    save("rendered.json", rendered)
    dialect = {}
    for source in load("dialect.json"):
        try:
            dialect[source] = env.from_string(source).render(messages=conversations["system"]["messages"])
        except Exception as e:
            dialect[source] = "error: " + type(e).__name__
    save("dialect.json", dialect)


def listed(messages):
    return [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]


def takes_lists(template):
    """Whether contents come out only when they are lists of parts."""
    probe = [{"role": "user", "content": "probe of words"}]
    for shape, lists in ((probe, False), (listed(probe), True)):
        try:
            text = render(template, shape)
            if "probe of words" in text and "'type'" not in text:
                return lists
        except Exception:
            pass
    return False


def templates_of(name, data):
    """The templates in a file of a package: all of a .jinja, texts of .py that look like one."""
    if name.endswith(".jinja"):
        yield name, data.decode()
    elif name.endswith(".py"):
        if b"{%" not in data or b"messages" not in data:
            return
        try:
            tree = ast.parse(data)
        except (SyntaxError, ValueError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{%" in node.value and "messages" in node.value:
                yield f"{name}:{node.lineno}", node.value


def files_of(path):
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as z:
            for n in z.namelist():
                if n.endswith((".jinja", ".py")):
                    yield n, z.read(n)
    else:
        with tarfile.open(path) as t:
            for m in t:
                if m.isfile() and m.name.endswith((".jinja", ".py")):
                    yield m.name, t.extractfile(m).read()


def packages(folder):
    conversations, seen, out = load("conversations.json"), set(), []
    for path in sorted(glob.glob(os.path.join(folder, "*.whl")) + glob.glob(os.path.join(folder, "*.tar.gz"))):
        for file, data in files_of(path):
            for name, source in templates_of(file, data):
                if source in seen:
                    continue
                seen.add(source)
                entry = {"name": name, "source": source, "rendered": {}}
                out.append(entry)
                try:
                    template = env.from_string(source)
                except jinja2.exceptions.TemplateError as e:
                    entry["broken"] = str(e)
                    continue
                shape = listed if takes_lists(template) else (lambda m: m)
                for which, c in conversations.items():
                    try:
                        entry["rendered"][which] = render(template, shape(c["messages"]), c.get("tools"))
                    except Exception as e:
                        entry["rendered"][which] = "fails: " + type(e).__name__ + ": " + str(e)
    json.dump({"jinja2": jinja2.__version__, "templates": out}, sys.stdout)


if sys.argv[1:] == ["golden"]:
    golden()
else:
    packages(sys.argv[2])
