// Makes the page live: it is whole without this. What has changed comes rendered
// from the server and is put in its place; tokens and answers grow here.
"use strict";
(() => {
  const $ = id => document.getElementById(id);
  const live = $("live"), stream = $("stream");
  const names = {}; // of the sources, as the legend has them
  for (const e of document.querySelectorAll(".legend .t")) names[e.classList[1]] = e.textContent;
  const kept = 400; // runs of the stream

  // put replaces what a part holds, and leaves open, focused and scrolled what was.
  const put = (part, html) => {
    const open = [...part.querySelectorAll("details[open]")].map(e => e.id);
    const scrolled = [...part.querySelectorAll(".scroll")].map(e => [e.id, e.scrollTop]);
    const focus = part.contains(document.activeElement) && document.activeElement.id;
    part.innerHTML = html;
    for (const id of open) if ($(id)) $(id).open = true;
    for (const [id, top] of scrolled) if ($(id)) $(id).scrollTop = top;
    if (focus && $(focus)) $(focus).focus({ preventScroll: true });
  };
  // Parts with selected text in them wait until it no longer is.
  const waiting = new Map();
  const selected = part => {
    const s = getSelection();
    return s && !s.isCollapsed && s.rangeCount && s.getRangeAt(0).intersectsNode(part);
  };
  const refresh = () => {
    for (const [id, html] of waiting) {
      const part = $(id);
      if (part && selected(part)) continue;
      waiting.delete(id);
      if (part) put(part, html);
    }
  };
  document.addEventListener("selectionchange", refresh);

  // say appends to a paragraph, to its last run where the source is the same.
  const say = (to, source, text) => {
    const last = to.lastElementChild;
    if (last && last.dataset.source === source) {
      last.append(text);
      return;
    }
    const run = document.createElement("span");
    run.className = "t " + (source || "");
    run.dataset.source = source;
    run.title = names[source] || source || "";
    run.append(text);
    to.append(run);
  };
  const next = new Map(); // by session, the index of the token that follows
  for (const p of stream.querySelectorAll("p[data-next]")) next.set(p.dataset.session, +p.dataset.next);
  const hear = said => {
    const low = stream.scrollHeight - stream.scrollTop - stream.clientHeight < 30;
    for (const t of said) {
      let p = stream.lastElementChild;
      if (!p || p.dataset.session !== t.session || next.get(t.session) !== t.index) {
        if (p && p.classList.contains("empty")) p.remove();
        p = document.createElement("p");
        p.dataset.session = t.session;
        const who = document.createElement("b");
        who.className = "who";
        who.append(t.session);
        p.append(who, " ");
        stream.append(p);
      }
      say(p, t.source, t.text);
      next.set(t.session, t.index + 1);
    }
    while (stream.querySelectorAll(".t").length > kept && stream.firstElementChild) {
      const p = stream.firstElementChild;
      const run = p.querySelector(".t");
      if (run && p.querySelectorAll(".t").length > 1) run.remove(); else p.remove();
    }
    if (low) stream.scrollTop = stream.scrollHeight;
  };
  stream.scrollTop = stream.scrollHeight;

  // The stream of events, while the page is seen.
  let source, after = document.body.dataset.event, timer;
  const tell = (text, on) => {
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("on", on);
  };
  const listen = () => {
    clearTimeout(timer);
    if (source) source.close();
    source = new EventSource("/api/v1/events?kinds=page,tokens&after=" + after);
    source.addEventListener("page", e => {
      after = e.lastEventId;
      const page = JSON.parse(e.data);
      for (const id in page.sections) waiting.set(id, page.sections[id]);
      refresh();
      if (page.assets === document.body.dataset.assets) tell("Live", true);
      else tell("Skerry was updated: reload this page.", false);
    });
    source.addEventListener("tokens", e => {
      after = e.lastEventId;
      hear(JSON.parse(e.data));
    });
    source.onerror = () => {
      tell("Not live: the daemon does not answer. Trying again.", false);
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(listen, 5000);
    };
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { clearTimeout(timer); source.close(); } else listen();
  });
  addEventListener("pagehide", () => source.close());
  listen();

  // The prompt box.
  const form = $("ask");
  if (!form) return;
  const prompt = $("prompt"), answer = $("answer"), note = $("answer-note"), button = form.querySelector("button");
  let asking;
  prompt.addEventListener("keydown", e => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); form.requestSubmit(); }
    if (e.key === "Escape" && asking) asking.abort();
  });
  form.addEventListener("submit", async e => {
    e.preventDefault();
    if (asking) { asking.abort(); return; }
    asking = new AbortController();
    button.textContent = "Stop";
    answer.hidden = false;
    answer.setAttribute("aria-busy", "true");
    const p = document.createElement("p");
    answer.replaceChildren(p);
    note.textContent = "Asked.";
    try {
      const r = await fetch("/ask", {
        method: "POST", body: new URLSearchParams({ prompt: prompt.value }),
        headers: { Accept: "text/event-stream" }, signal: asking.signal,
      });
      if (!r.ok) throw new Error((await r.text()).trim() || r.statusText);
      const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "", ended = false;
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        for (const text of events) {
          const data = text.split("\n").find(line => line.startsWith("data: "));
          if (data) ended = grow(p, JSON.parse(data.slice(6))) || ended;
        }
      }
      if (!ended) throw new Error("the daemon went away in mid answer: ask again");
    } catch (err) {
      note.textContent = asking.signal.aborted ? "Stopped." : "No answer: " + err.message;
    }
    asking = undefined;
    button.textContent = "Ask";
    answer.setAttribute("aria-busy", "false");
    if (!p.textContent) answer.hidden = true;
  });
  // grow takes in an event of the answer, and says whether it is the last.
  const grow = (p, e) => {
    switch (e.kind) {
      case "queued": note.textContent = e.queue ? e.queue + " are before this one." : "Next."; break;
      case "prefill": note.textContent = "Reading the question: " + (e.done || 0) + " of " + (e.total || 0) + " tokens."; break;
      case "rewind": p.replaceChildren(); break;
      case "text": {
        const tokens = e.tokens || [];
        if (tokens.map(t => t.text).join("") === (e.text || "")) for (const t of tokens) say(p, t.source, t.text);
        else say(p, tokens.length ? tokens[0].source : "", e.text || "");
        break;
      }
      case "end": note.textContent = e.note || e.error || "Done."; return true;
    }
    return false;
  };
})();
