// Makes the page live: it is whole without this. What has changed comes rendered
// from the server and is put in its place; tokens and answers grow here.
"use strict";
// page is what the scripts of the page share.
const page = (() => {
  const $ = id => document.getElementById(id);
  const live = $("live"), stream = $("stream");
  const names = {}, letters = {}; // of the sources, as the legend has them
  for (const e of document.querySelectorAll(".legend .t")) {
    names[e.dataset.source] = e.textContent;
    letters[e.dataset.source] = e.previousElementSibling.textContent;
  }
  const kept = 400; // runs of the stream
  // The server's own pieces are the only text that becomes markup.
  const pieces = window.trustedTypes ? trustedTypes.createPolicy("pieces", { createHTML: s => s }) : { createHTML: s => s };

  // put replaces what a part holds, and leaves open, focused and scrolled what was.
  const put = (part, html) => {
    const open = [...part.querySelectorAll("details[open]")].map(e => e.id);
    const scrolled = [...part.querySelectorAll(".scroll")].map(e => [e.id, e.scrollTop]);
    const focus = part.contains(document.activeElement) && document.activeElement.id;
    part.innerHTML = pieces.createHTML(html);
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
    to.append(run(source, text));
  };
  // run is text that one source has said.
  const run = (source, text) => {
    const e = document.createElement("span");
    e.className = "t " + (source || "");
    e.dataset.source = source || "";
    e.dataset.letter = letters[source] || "?";
    e.title = names[source] || source || "";
    e.append(text);
    return e;
  };
  // follower returns what keeps the end of a box in sight, unless its reader has scrolled
  // up, until they are down again.
  const follower = box => {
    let follows = true, top = box.scrollTop;
    const end = () => box.scrollHeight - box.clientHeight;
    const look = () => {
      if (end() - box.scrollTop < 40) follows = true;
      else if (box.scrollTop < top - 1) follows = false;
      top = box.scrollTop;
    };
    box.addEventListener("scroll", look, { passive: true });
    const update = () => {
      if (box.scrollTop < top - 1) look(); // of which the browser has not told yet
      if (follows) { box.scrollTop = end(); top = box.scrollTop; }
    };
    new ResizeObserver(update).observe(box);
    new MutationObserver(update).observe(box, { childList: true, subtree: true });
    update();
    return { down: () => { follows = true; update(); } };
  };
  const next = new Map(); // by session, the index of the token that follows
  for (const p of stream.querySelectorAll("p[data-next]")) next.set(p.dataset.session, +p.dataset.next);
  const hear = said => {
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
      const first = p.querySelector(".t");
      if (first && p.querySelectorAll(".t").length > 1) first.remove(); else p.remove();
    }
  };
  follower(stream);

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
  addEventListener("pageshow", e => { if (e.persisted) listen(); });
  listen();
  return { $, put, run, follower };
})();
