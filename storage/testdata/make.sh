#!/bin/bash
# Makes the databases beside this file, board.db and cloud.db, in the directory $2 with
# the skerry $1. Those committed were made with the last version before persisted records
# had explicit field names and sessions had summaries (commit fb311c9); the tests of this
# directory's package and of appliance open copies of them and must find everything.
# Do not make them anew with a later version: they show that nothing of an old one is lost.
set -eu
skerry=$1 out=$2
work=$(mktemp -d); cd "$work"
bundle=$work/tiny board=$work/board cloud=$work/cloud socket=$work/s
$skerry model synth tiny -o bare.gguf
python3 - bare.gguf t.gguf <<'END' # a model with a template, which knows tools
import struct, sys
b, at = open(sys.argv[1], 'rb').read(), 24
tensors, pairs = struct.unpack_from('<QQ', b, 8)
def number(form):
    global at
    v, = struct.unpack_from('<' + form, b, at); at += struct.calcsize(form); return v
def skip(kind):
    global at
    if kind == 8: n = number('Q'); at += n
    elif kind == 9:
        of, n = number('I'), number('Q')
        for _ in range(n): skip(of)
    else: at += {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}[kind]
for _ in range(pairs): skip(8); skip(number('I'))
for _ in range(tensors):
    skip(8)
    for _ in range(number('I')): skip(10)
    skip(4); skip(10)
template = b"""{%- if tools %}Tools, called as <tool_call>{"name": NAME, "arguments": OBJECT}</tool_call>:
{% for t in tools %}{{ t | tojson }}
{% endfor %}{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>
{{ {"name": c.function.name, "arguments": c.function.arguments} | tojson }}
</tool_call>{% endfor %}
{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"""
key = b'tokenizer.chat_template'
pair = struct.pack('<Q', len(key)) + key + struct.pack('<IQ', 8, len(template)) + template
head = b[:16] + struct.pack('<Q', pairs + 1) + pair + b[24:at]
up = lambda n: -(-n // 32) * 32
open(sys.argv[2], 'wb').write(head + bytes(up(len(head)) - len(head)) + b[up(at):])
END
$skerry model split t.gguf -o "$bundle"

# The cloud: three boards enrolled, one of them revoked, one enrolled anew with another
# key; invitations open, used and withdrawn.
$skerry cloud init --name 127.0.0.1 --state "$cloud"
$skerry cloud serve --state "$cloud" --bundle "$bundle" --listen 127.0.0.1:27537 --threads 1 --context 512 --sessions 2 &
pids=$!; trap 'kill $pids; wait' EXIT
sleep 2
invite() { $skerry cloud invite --state "$cloud" --cloud 127.0.0.1:27537 --csv "$@" | tail -1 | cut -d, -f2; }
enroll() { $skerry enroll --state "$1" --may "$2" "$3"; }
enroll "$board" text "$(invite --name shed --may text)"
enroll "$work/barn" hidden "$(invite --name barn --may hidden)"
enroll "$work/mill" hidden "$(invite --name mill)"
enroll "$work/mill2" text "$(invite --name mill)"
$skerry run --state "$work/barn" --bundle "$bundle" --threads 1 --context 512 --max-tokens 4 --mode collaborative --threshold 1.1 --raw Hello
$skerry cloud revoke --state "$cloud" barn
invite --name open --may hidden --expires 8000h
invite --expires 8000h
withdrawn=$(invite --name gone)
$skerry cloud withdraw --state "$cloud" "$withdrawn"

# The board. skerry run's sessions: a whole one of two questions, one whose end was not
# delivered, one that was cut.
run() { $skerry run --state "$board" --bundle "$bundle" --threads 1 --context 512 --mode standalone --ignore-end --temperature 1 "$@"; }
run --session run-whole --max-tokens 30 "What is a lighthouse for?"
run --session run-whole --max-tokens 20 "And who lights it?"
run --session run-undelivered --max-tokens 40 --json "Hello, sea." >/dev/full || true
run --session run-cut --max-tokens 400 --events "Once more." | head -n 40 >/dev/null || true

# The daemon's: by two keys and without one, with calls of tools, one that was cut by a
# SIGKILL, and one whose record is as it was before there were owners.
laptop=$($skerry key new laptop --state "$board" --scope ask 2>/dev/null | grep '^sk-skerry')
phone=$($skerry key new phone --state "$board" --scope ask 2>/dev/null | grep '^sk-skerry')
serve() {
	$skerry serve --state "$board" --bundle "$bundle" --listen 0.0.0.0:27538 --socket "$socket" --threads 1 \
		--context 512 --durability strict --threshold 1.1 "$@" &
	pids="$pids $!" daemon=$!
	until curl -sf --unix-socket "$socket" http://skerry/readyz >/dev/null; do sleep 0.2; done
}
ask() { # session, key, body
	local to=(--unix-socket "$socket" http://skerry/v1/chat/completions)
	[ -z "$2" ] || to=(-H "Authorization: Bearer $2" http://127.0.0.1:27538/v1/chat/completions)
	curl -sS -N -H "X-Skerry-Session: $1" -H 'Content-Type: application/json' -d "$3" "${to[@]}"; echo
}
tools='"tools":[{"type":"function","function":{"name":"lamp","description":"Switch a lamp.","parameters":{"type":"object","properties":{"on":{"type":"boolean"}},"required":["on"]}}}]'
serve
ask laptop-1 "$laptop" '{"max_tokens":20,"seed":3,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Where is the harbour?"}]}'
ask laptop-2 "$laptop" '{"max_tokens":20,"seed":4,"messages":[{"role":"user","content":"Grüße, 世界"}]}'
ask phone-1 "$phone" '{"max_tokens":300,"seed":5,"messages":[{"role":"user","content":"A long one."}]}' >/dev/null
ask local-tools "" '{"max_tokens":20,"seed":6,'"$tools"',"messages":[{"role":"user","content":"Light!"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"lamp","arguments":"{\"on\":true}"}}]},{"role":"tool","tool_call_id":"call_1","content":"it is on"},{"role":"user","content":"Thank you."}]}'
ask local-called "" '{"max_tokens":300,"seed":7,"tool_choice":"required",'"$tools"',"messages":[{"role":"user","content":"Light!"}]}'
ask old-form "$phone" '{"max_tokens":10,"seed":8,"messages":[{"role":"user","content":"Who asked?"}]}'
sleep 130 # two minutes of the link's history
ask local-cut "" '{"max_tokens":400,"seed":9,"stream":true,"messages":[{"role":"user","content":"This is cut."}]}' | head -n 60 >/dev/null &
until $skerry sessions show local-cut --socket "$socket" --json 2>/dev/null | grep -q '"state":"decoding"'; do sleep 0.05; done
kill -9 $daemon
pids=${pids% *}
mkdir -p "$out"
cp "$board/board.db" "$out/board.db"
python3 - "$out/board.db" <<'END' # the record of the session old-form loses its owner
import sys
b = bytearray(open(sys.argv[1], 'rb').read())
def step(c):
    for _ in range(8): c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    return c
table = [step(i) for i in range(256)]
def crc(data, c=0):
    c ^= 0xffffffff
    for x in data: c = table[(c ^ x) & 255] ^ c >> 8
    return c ^ 0xffffffff
key, at, done = b'old-form', -1, 0
while (at := b.find(key, at + 1)) >= 0:
    start = at + len(key)
    want, c = int.from_bytes(b[start:start + 4], 'little'), crc(key)
    for end in range(start + 5, min(start + 4096, len(b)) + 1):
        c = crc(b[end - 1:end], c)
        if c == want and b.find(b'"owner":"phone"', start, end) > 0:
            i = b.find(b'"owner":"phone"', start, end)
            b[i:i + 15] = b'"other":"phone"'
            b[start:start + 4] = crc(key + b[start + 4:end]).to_bytes(4, 'little')
            done += 1
            break
assert done, 'no record of old-form'
open(sys.argv[1], 'wb').write(b)
END
kill $pids; wait || true; trap - EXIT
cp "$cloud/cloud.db" "$out/cloud.db"
ls -l "$out"
