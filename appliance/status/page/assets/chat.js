// The conversation: questions and answers grow here, and each answer shows who said it.
"use strict";
(() => {
  const { $, put, run, follower } = page;
  const talk = $("talk"), form = $("ask"), note = $("answer-note");
  if (!talk) return;
  const make = (name, cls, text) => {
    const e = document.createElement(name);
    if (cls) e.className = cls;
    if (text) e.textContent = text;
    return e;
  };
  const button = (text, cls, does) => {
    const b = make("button", cls, text);
    b.type = "button";
    b.addEventListener("click", does);
    return b;
  };
  const low = follower(talk);

  const letters = $("letters");
  letters.closest("p").hidden = false;
  letters.addEventListener("change", () => talk.classList.toggle("lettered", letters.checked));

  // Answers.

  // answer is the text of one as it grows, and who said which part of it.
  const answer = into => {
    let text = "", said = [], drawn = true; // said: up to where, by whom
    const show = markdown.shown(into, function* (s, e) {
      let from = 0;
      for (const r of said) {
        if (r.end > s && from < e) yield [Math.max(s, from), Math.min(e, r.end), r.source && (t => run(r.source, t))];
        from = r.end;
      }
      if (from < e) yield [Math.max(s, from), e];
    });
    const draw = () => {
      if (drawn) return;
      drawn = true;
      show(text);
    };
    const grow = (source, piece) => {
      text += piece;
      const last = said[said.length - 1];
      if (last && last.source === source) last.end = text.length;
      else said.push({ source, end: text.length });
      if (drawn) { drawn = false; requestAnimationFrame(draw); setTimeout(draw, 200); } // a page that is not seen has no frames
    };
    return {
      grow, draw,
      clear: () => { text = ""; said = []; drawn = true; show(""); },
      text: () => text,
    };
  };
  // What the server has sent as text becomes what it stands for.
  for (const part of talk.querySelectorAll(".msg.assistant .text")) {
    const text = part.textContent;
    part.replaceChildren();
    part.classList.add("md");
    const a = answer(part);
    a.grow("", text);
    a.draw();
  }
  talk.addEventListener("click", async e => {
    const b = e.target.closest("button.copy");
    if (!b) return;
    const code = b.closest(".code").querySelector("code");
    b.textContent = await copied(code) ? "Copied" : "Select and copy";
    setTimeout(() => { b.textContent = "Copy"; }, 2000);
  });
  const copied = async from => {
    try {
      await navigator.clipboard.writeText(from.textContent); // not to be had over plain HTTP
      return true;
    } catch {
      const s = getSelection();
      s.selectAllChildren(from);
      const done = document.execCommand("copy");
      if (done) s.removeAllRanges();
      return done;
    }
  };
  for (const e of document.querySelectorAll(".noscript")) e.remove();

  // Messages.

  const empty = () => { const e = talk.querySelector(":scope > .empty"); if (e) e.remove(); };
  const message = (role, name, at) => {
    const m = make("article", "msg " + role);
    m.dataset.at = at;
    const text = make("div", role === "assistant" ? "text md" : "text");
    m.append(make("h3", "by", name), text);
    return m;
  };
  const editable = m => {
    if (!form) return;
    m.firstElementChild.append(button("Edit", "edit", () => edit(m)));
    m.querySelector(".edit").setAttribute("aria-label", "Edit this question and ask it again");
  };
  for (const m of talk.querySelectorAll(".msg.user")) editable(m);

  // Pictures of a question: {blob, name, thumb}. They are shown on canvases, which need no address.

  const mostPictures = 4, longestSide = 2048, thumbSide = 240;
  const drawn = (image, side, fill) => {
    const scale = Math.min(1, side / Math.max(image.width, image.height)), canvas = make("canvas");
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    const to = canvas.getContext("2d");
    if (fill) { to.fillStyle = "#fff"; to.fillRect(0, 0, canvas.width, canvas.height); }
    to.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas;
  };
  // pictureOf is a file as it is sent: no larger than a model looks at, and upright as cameras mean it.
  const pictureOf = async (file, asIs) => {
    let image;
    try { image = await createImageBitmap(file); } catch { throw new Error((file.name || "That") + " is no picture that can be read here: take a PNG, JPEG, WebP or GIF."); }
    const small = Math.max(image.width, image.height) <= longestSide && file.size <= 1e6 && /^image\/(png|webp|gif)$/.test(file.type);
    const blob = asIs || small ? file : await new Promise(done => drawn(image, longestSide, true).toBlob(done, "image/jpeg", 0.92));
    const thumb = drawn(image, thumbSide);
    thumb.setAttribute("role", "img");
    thumb.setAttribute("aria-label", file.name || "Picture");
    return { blob, name: file.name || "picture", thumb };
  };
  // thumbs puts pictures into a message, before its text.
  const thumbs = (m, pictures) => {
    m.pictures = pictures;
    if (!pictures.length) return;
    const row = make("p", "pics");
    row.append(...pictures.map(p => drawn(p.thumb, thumbSide)));
    [...row.children].forEach((c, n) => { c.setAttribute("role", "img"); c.setAttribute("aria-label", pictures[n].name); });
    m.lastElementChild.before(row);
  };
  // picturesOf are those of a message, which the server has where this page has not sent them.
  const picturesOf = async m => m.pictures || Promise.all([...m.querySelectorAll(".pics img")].map(async img => {
    const r = await fetch(img.src);
    if (!r.ok) throw await refusal(r);
    return pictureOf(await r.blob(), true);
  }));

  // What is on its way.

  let session = talk.dataset.session, count = +talk.dataset.count;
  let busy; // the AbortController of what is under way
  const waiting = []; // questions that are asked one after another: {text, pictures, m}
  const prompt = $("prompt"), stop = $("stop"), ask = form && form.querySelector("button[type=submit]");
  const tell = text => { if (note.textContent !== text) note.textContent = text; };
  const setBusy = on => {
    busy = on ? new AbortController() : undefined;
    talk.classList.toggle("busy", on);
    if (!form) return;
    stop.hidden = !on;
    stop.disabled = false;
    ask.textContent = on ? "Ask next" : "Ask";
  };

  // take reads a stream of events into a message, and returns the last of them.
  const take = async (response, m) => {
    const a = m.answer, reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", end;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const text of events) {
        const data = text.split("\n").find(line => line.startsWith("data: "));
        if (data) end = hear(a, JSON.parse(data.slice(6))) || end;
      }
    }
    return end;
  };
  // hear takes in an event of the answer, and returns it if it is the last.
  const hear = (a, e) => {
    switch (e.kind) {
      case "queued": tell(e.queue ? (e.queue === 1 ? "1 request is" : e.queue + " requests are") + " before this one." : "Next."); break;
      case "prefill": tell("Reading the question: " + (e.done || 0) + " of " + (e.total || 0) + " tokens."); break;
      case "rewind": a.clear(); break;
      case "text": {
        tell("Answering.");
        const tokens = e.tokens || [];
        if (tokens.map(t => t.text).join("") === (e.text || "")) for (const t of tokens) a.grow(t.source || "", t.text || "");
        else a.grow(tokens.length ? tokens[0].source : "", e.text || "");
        break;
      }
      case "end": return e;
    }
  };
  const pause = ms => new Promise(done => setTimeout(done, ms));
  const refusal = async r => {
    const text = (await r.text()).trim();
    try { return new Error(JSON.parse(text).error || text); } catch { return new Error(text || r.statusText); } // JSON where it is not the page's own
  };

  // finish reads an answer to its end. A connection that is lost is made again: the answer
  // goes on without it.
  const finish = async (m, response) => {
    const signal = busy.signal;
    let end;
    for (let tries = 0; !end; tries++) {
      try {
        if (response) end = await take(response, m);
        if (end) break;
      } catch (err) {
        if (signal.aborted) throw err;
      }
      if (!session || tries === 10) throw new Error("the daemon went away in the middle of the answer: reload the page to see what became of it");
      if (tries > 0 || response) {
        tell("The connection was lost. Trying again.");
        await pause(Math.min(500 << tries, 5000));
      }
      try {
        response = await fetch("/answer?session=" + encodeURIComponent(session), { headers: { Accept: "text/event-stream" }, signal });
      } catch (err) {
        if (signal.aborted) throw err;
        response = undefined;
        continue;
      }
      if (!response.ok) throw await refusal(response);
      m.answer.clear(); // it is told from the beginning
    }
    m.answer.draw();
    const stopped = end.finish === "cancelled";
    const how = (stopped ? "Stopped. " : "") + (end.note || end.error || "");
    if (how) m.append(make("p", "note", how));
    tell(stopped ? "Stopped." : end.error ? "It ended early." : "Answered.");
    if (end.count !== undefined) count = end.count;
    return end;
  };

  // answering is a message that grows.
  const answering = at => {
    const m = message("assistant", "Answer", at);
    m.setAttribute("aria-busy", "true");
    m.answer = answer(m.lastElementChild);
    talk.append(m);
    return m;
  };
  const done = m => {
    m.removeAttribute("aria-busy");
    if (!m.answer.text() && !m.querySelector(".note")) m.remove();
    setBusy(false);
    list();
  };
  // list shows the conversations there are now.
  const list = async () => {
    const chats = $("chats");
    if (!chats) return;
    try {
      const r = await fetch("/chats?session=" + encodeURIComponent(session));
      if (r.ok) put(chats, await r.text());
    } catch { /* the next answer brings it up to date */ }
  };

  // send asks a question behind so many messages; false where it was not taken.
  const send = async (text, after, pictures) => {
    setBusy(true);
    tell("Asked.");
    const dropped = [...talk.querySelectorAll(".msg")].filter(m => +m.dataset.at >= after);
    for (const m of dropped) m.remove();
    empty();
    const user = message("user", "You", after);
    user.lastElementChild.textContent = text;
    thumbs(user, pictures);
    talk.append(user);
    const m = answering(after + 1);
    for (const q of waiting) talk.append(q.m);
    low.down();
    let taken = false;
    try {
      const body = pictures.length ? new FormData() : new URLSearchParams();
      body.set("prompt", text);
      for (const p of pictures) body.append("image", p.blob, p.name);
      if (session) for (const [name, value] of [["session", session], ["after", after], ["count", count]]) body.set(name, value);
      const model = $("choice");
      if (model && model.value) body.set("model", model.value);
      const r = await fetch("/ask", { method: "POST", body, headers: { Accept: "text/event-stream" }, signal: busy.signal });
      if (!r.ok) throw await refusal(r);
      taken = true;
      const name = r.headers.get("X-Skerry-Session");
      if (name && name !== session) {
        session = name;
        if (forget) forget.hidden = false;
        history.replaceState(null, "", "/?session=" + encodeURIComponent(session));
      }
      editable(user);
      await finish(m, r);
    } catch (err) {
      const stopped = busy.signal.aborted;
      tell(stopped ? "Stopped." : (taken ? "" : "No answer: ") + err.message);
      m.answer.draw();
      if (!taken) {
        user.remove();
        m.remove();
        talk.append(...dropped);
        giveBack(text, pictures);
      }
    }
    done(m);
    return taken;
  };

  // giveBack puts a question that was not taken where it can be asked again.
  const giveBack = (text, pictures) => {
    if (prompt.value.trim() || chosen.length) { hold(text, pictures, true); return; }
    prompt.value = text;
    choose(pictures);
  };
  // hold shows a question that is to be asked after this answer.
  const hold = (text, pictures, first) => {
    const m = message("user queued", "You, next", "");
    m.lastElementChild.textContent = text;
    thumbs(m, pictures);
    const q = { text, pictures, m };
    m.firstElementChild.append(button("Take back", "edit", () => {
      waiting.splice(waiting.indexOf(q), 1);
      m.remove();
      prompt.value = prompt.value.trim() ? prompt.value + "\n" + text : text;
      choose([...chosen, ...pictures]);
      prompt.focus();
    }));
    if (first) waiting.unshift(q); else waiting.push(q);
    empty();
    talk.append(m);
  };
  const next = async taken => {
    while (taken && waiting.length && !busy) {
      const q = waiting.shift();
      q.m.remove();
      taken = await send(q.text, count, q.pictures);
    }
  };

  // Deleting the conversation; its confirmation is the page's own.
  const forget = $("forget");
  if (forget) forget.addEventListener("submit", async e => {
    e.preventDefault();
    tell("Deleting.");
    try {
      const r = await fetch("/forget", { method: "POST", body: new URLSearchParams({ session }), headers: { Accept: "text/event-stream" } });
      if (!r.ok) throw await refusal(r);
      location.assign("/");
    } catch (err) {
      tell("Not deleted: " + err.message);
    }
  });

  if (talk.dataset.running || talk.dataset.cut) {
    // What is there of the answer is told again, with who said it.
    const last = [...talk.querySelectorAll(".msg.assistant")].pop();
    const resume = async method => {
      setBusy(true);
      if (last && +last.dataset.at === count - 1) last.remove();
      const m = answering(count - 1);
      low.down();
      try {
        let r;
        if (method) {
          r = await fetch("/answer", { method, body: new URLSearchParams({ session }), headers: { Accept: "text/event-stream" }, signal: busy.signal });
          if (!r.ok) throw await refusal(r);
        }
        await finish(m, r);
      } catch (err) {
        tell(err.message);
      }
      done(m);
      await next(true);
    };
    if (talk.dataset.running) resume();
    else if (form) {
      const row = make("p", "row");
      row.append(button("Go on with the answer", "second", () => { row.remove(); resume("POST"); }));
      talk.append(row);
      tell("The last answer was cut.");
    }
  }
  if (!form) return;

  // The prompt box.

  const pick = $("picture"), row = $("pics");
  let chosen = []; // pictures of the next question
  const choose = pictures => {
    chosen = pictures;
    row.hidden = !chosen.length;
    row.replaceChildren(...chosen.map(p => {
      const one = make("span", "pic");
      one.append(p.thumb, button("Remove", "edit", () => { choose(chosen.filter(o => o !== p)); prompt.focus(); }));
      one.lastElementChild.setAttribute("aria-label", "Remove " + p.name);
      return one;
    }));
  };
  // add takes files in as pictures of the next question, one after another, or says why it does not.
  // A question that is sent meanwhile waits for them.
  let adding = Promise.resolve();
  const add = files => { adding = adding.then(() => takeIn(files)); };
  const takeIn = async files => {
    const model = $("choice"), to = model && model.selectedOptions[0];
    try {
      if (to && !to.dataset.vision) throw new Error(to.dataset.model + " reads no pictures, since it has no projector: choose a model that has one, or ask in words.");
      for (const file of files) {
        if (chosen.length === mostPictures) throw new Error("At most " + mostPictures + " pictures go with a question.");
        const picture = await pictureOf(file);
        choose([...chosen, picture]);
        tell("The picture goes with your question.");
      }
    } catch (err) {
      tell(err.message);
    }
    prompt.focus();
  };
  $("pick").classList.add("script");
  pick.removeAttribute("name"); // what is chosen is sent from here
  pick.addEventListener("change", () => { const files = [...pick.files]; pick.value = ""; add(files); });
  const imagesIn = of => [...(of ? of.files : [])].filter(f => f.type.startsWith("image/"));
  prompt.addEventListener("paste", e => {
    const files = imagesIn(e.clipboardData);
    if (!files.length) return;
    e.preventDefault();
    add(files);
  });
  const panel = $("ask-panel");
  const over = on => panel.classList.toggle("over", on);
  panel.addEventListener("dragover", e => {
    if (![...e.dataTransfer.types].includes("Files")) return;
    e.preventDefault();
    over(true);
  });
  panel.addEventListener("dragleave", e => { if (!panel.contains(e.relatedTarget)) over(false); });
  panel.addEventListener("drop", e => {
    over(false);
    if (!e.dataTransfer.files.length) return;
    e.preventDefault();
    const files = imagesIn(e.dataTransfer);
    if (files.length) add(files); else tell("That is no picture: take a PNG, JPEG, WebP or GIF.");
  });

  const editing = $("editing");
  let at, draft = "", drafted = []; // behind which message an edited question goes, and what the box held
  const edit = async m => {
    if (busy) { tell("The answer is under way: stop it, or wait for its end, and then edit."); return; }
    let pictures;
    try { pictures = await picturesOf(m); } catch (err) { tell("Its pictures cannot be had: " + err.message); return; }
    if (busy) { tell("Another question was asked meanwhile: edit this one once it is answered."); return; }
    if (at === undefined) { draft = prompt.value; drafted = chosen; }
    at = +m.dataset.at;
    choose(pictures);
    prompt.value = m.querySelector(".text").textContent;
    editing.hidden = false;
    editing.replaceChildren("You are editing a question; what follows it is dropped once you ask. ", button("Cancel", "edit", () => keep()));
    prompt.focus();
  };
  const keep = () => {
    if (at !== undefined) { prompt.value = draft; choose(drafted); }
    at = undefined;
    draft = "";
    drafted = [];
    editing.hidden = true;
    prompt.focus();
  };
  stop.addEventListener("click", async () => {
    if (!busy) return;
    stop.disabled = true;
    tell("Stopping.");
    prompt.focus();
    const going = busy;
    if (!session) { going.abort(); return; }
    try {
      const r = await fetch("/stop", { method: "POST", body: new URLSearchParams({ session }), headers: { Accept: "text/event-stream" } });
      if (!r.ok) throw await refusal(r);
    } catch {
      going.abort(); // at least here
    }
  });
  // Enter asks, whichever keyboard it comes from; with Shift it begins a new line.
  let shift = false;
  prompt.addEventListener("beforeinput", e => {
    if (e.inputType !== "insertLineBreak" || shift || e.isComposing) return;
    e.preventDefault();
    form.requestSubmit();
  });
  prompt.addEventListener("keydown", e => {
    shift = e.shiftKey;
    if (e.key === "Escape" && !e.isComposing) {
      if (at !== undefined) keep();
      else if (busy) stop.click();
    }
  });
  form.addEventListener("submit", async e => {
    e.preventDefault();
    await adding;
    const text = prompt.value.trim(), pictures = chosen;
    if (!text) { tell("Write a question first."); return; }
    prompt.value = "";
    choose([]);
    if (busy) {
      hold(text, pictures);
      low.down();
      tell("It is asked once this answer has ended.");
      return;
    }
    const after = at === undefined ? count : at;
    if (at !== undefined) {
      const held = draft, pics = drafted;
      at = undefined;
      keep();
      prompt.value = held;
      choose(pics);
    }
    await next(await send(text, after, pictures));
  });
})();
