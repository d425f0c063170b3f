// The models of this board: what there are, taking one away, and fetching one over Ollama's
// API, with its progress.
"use strict";
(() => {
  const { $, put } = page;
  const library = $("library"), removed = $("remove-note");
  let asking = false, again = false;
  // list shows the models there are now, here and where one is chosen.
  const list = async () => {
    if (!library) return;
    if (asking) { again = true; return; }
    asking = true;
    try {
      const r = await fetch("/library");
      if (r.ok) put(library, await r.text());
      choose();
    } catch { /* the next change brings it up to date */ }
    asking = false;
    if (again) { again = false; list(); }
  };
  const choose = () => {
    const choice = $("choice");
    if (!choice) return;
    const chosen = choice.selectedOptions.length ? choice.selectedOptions[0].dataset.model || choice.value : "";
    choice.replaceChildren(...[...library.querySelectorAll("li")].map(li => {
      const { model, loaded, vision = "" } = li.dataset;
      const o = new Option(model + (loaded ? " (loaded)" : ""), loaded ? "" : model, false, model === chosen);
      o.dataset.model = model;
      o.dataset.vision = vision;
      return o;
    }));
    $("choose").hidden = choice.length < 2;
  };
  // What is loaded shows in the drawing of the model, which the server sends anew.
  if (library) new MutationObserver(list).observe($("model"), { childList: true });
  if (removed) library.addEventListener("submit", async e => {
    e.preventDefault();
    const form = e.target, name = form.elements.model.value, go = form.querySelector("button");
    go.disabled = true;
    removed.textContent = "Removing " + name + ".";
    try {
      const r = await fetch("/remove", { method: "POST", body: new URLSearchParams({ model: name }), headers: { Accept: "text/event-stream" } });
      if (!r.ok) throw new Error((await r.text()).trim() || r.statusText);
      removed.textContent = name + " is removed.";
      form.closest("details").open = false;
    } catch (err) {
      removed.textContent = "Not removed: " + err.message;
    }
    go.disabled = false;
    list();
  });

  const form = $("pull"), name = $("pull-name"), bar = $("pull-bar"), note = $("pull-note");
  if (!form) return;
  form.hidden = false;
  const go = form.querySelector("button");
  const size = n => n >= 1e9 ? (n / 1e9).toFixed(1) + " GB" : n >= 1e6 ? Math.round(n / 1e6) + " MB" : Math.round(n / 1e3) + " kB";
  let pulling;
  // show takes in a line of progress, and throws the error that one may be.
  const show = line => {
    if (line.error) throw new Error(line.error.message || line.error);
    const { total = 0, completed = 0, status = "" } = line;
    bar.hidden = false;
    if (total) bar.value = 100 * completed / total; else bar.removeAttribute("value");
    note.textContent = status + (total >= 1e6 ? ": " + size(completed) + " of " + size(total) : "");
    return status === "success";
  };
  form.addEventListener("submit", async e => {
    e.preventDefault();
    if (pulling) { pulling.abort(); return; }
    pulling = new AbortController();
    go.textContent = "Stop";
    note.textContent = "Asked for.";
    try {
      const r = await fetch("/api/pull", {
        method: "POST", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ model: name.value.trim() || form.dataset.model, stream: true }), signal: pulling.signal,
      });
      if (!r.ok) show(await r.json());
      const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "", whole = false;
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line) whole = show(JSON.parse(line));
      }
      if (!whole) throw new Error("the daemon went away in the middle; what was fetched is kept: fetch it again to go on");
      name.value = "";
      note.textContent = "It is here.";
      list();
    } catch (err) {
      note.textContent = pulling.signal.aborted ? "Stopped. Fetching it again goes on." : "Not fetched: " + err.message;
    }
    pulling = undefined;
    bar.hidden = true;
    go.textContent = "Fetch";
  });
})();
