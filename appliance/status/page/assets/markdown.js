// Markdown of an answer as elements: what the text holds becomes text nodes, and never
// markup. Every piece keeps its place in the text, so that whoever shows it can say who
// said it. An image is shown as a link, and nothing is loaded.
"use strict";
const markdown = (() => {
  const deepest = 12; // nested lists and quotes
  const longest = 20000; // characters of a paragraph in which marks are looked for

  const make = (name, cls) => {
    const e = document.createElement(name);
    if (cls) e.className = cls;
    return e;
  };

  // Lines of text are {at, t}: where in the text it begins, and what is there.
  const linesOf = text => {
    let at = 0;
    return text.split("\n").map(t => {
      const line = { at, t };
      at += t.length + 1;
      return line;
    });
  };
  const rest = (line, n) => ({ at: line.at + n, t: line.t.slice(n) });

  const fence = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`\s]*)[^`]*$/;
  const heading = /^ {0,3}(#{1,6})[ \t]+/;
  const rule = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
  const quote = /^ {0,3}> ?/;
  const item = /^( *)([-*+]|\d{1,9}[.)])(?: +|$)/;
  const ruler = /^ *\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *$/;
  const blank = t => !t.trim();
  const begins = t => fence.test(t) || heading.test(t) || rule.test(t) || quote.test(t) || item.test(t);

  // blocks reads lines, and returns what they are as {s, e, make}: from where to where in
  // the text, and what makes the element.
  const blocks = (lines, depth, say) => {
    const out = [];
    for (let i = 0; i < lines.length;) {
      if (blank(lines[i].t)) { i++; continue; }
      const from = i, kind = depth < deepest ? reader(lines, i) : paragraph;
      const [next, build] = kind(lines, i, depth, say);
      const last = lines[next - 1];
      out.push({ s: lines[from].at, e: last.at + last.t.length, make: build });
      i = next;
    }
    return out;
  };
  const reader = (lines, i) => {
    const t = lines[i].t;
    if (fence.test(t)) return code;
    if (heading.test(t)) return title;
    if (rule.test(t)) return (lines, i) => [i + 1, () => make("hr")];
    if (quote.test(t)) return quoted;
    if (item.test(t)) return list;
    if (t.includes("|") && i + 1 < lines.length && lines[i + 1].t.includes("|") && ruler.test(lines[i + 1].t)) return table;
    return paragraph;
  };
  const fill = (into, lines, depth, say) => {
    for (const b of blocks(lines, depth, say)) into.append(b.make());
    return into;
  };

  const code = (lines, i, depth, say) => {
    const [, marks, language] = fence.exec(lines[i].t);
    let end = i + 1;
    const closes = t => t.trim().length >= marks.length && [...t.trim()].every(c => c === marks[0]);
    while (end < lines.length && !closes(lines[end].t)) end++;
    const body = lines.slice(i + 1, end);
    return [Math.min(end + 1, lines.length), () => {
      const box = make("div", "code"), head = make("div", "codehead"), copy = make("button", "copy"), pre = make("pre"), text = make("code");
      copy.type = "button";
      copy.textContent = "Copy";
      copy.setAttribute("aria-label", "Copy the code");
      const name = make("span");
      name.textContent = language || "code";
      pre.tabIndex = 0;
      pre.setAttribute("aria-label", "Code");
      body.forEach((line, n) => say(text, line.at, line.at + line.t.length + (n + 1 < body.length ? 1 : 0)));
      head.append(name, copy);
      pre.append(text);
      box.append(head, pre);
      return box;
    }];
  };
  const title = (lines, i, depth, say) => {
    const line = lines[i], marks = heading.exec(line.t), whole = line.t.replace(/[ \t]+#*[ \t]*$/, "");
    const level = Math.min(6, marks[1].length + 2); // below the page's own
    return [i + 1, () => inline(make("h" + level), [rest({ at: line.at, t: whole }, Math.min(marks[0].length, whole.length))], say)];
  };
  const quoted = (lines, i, depth, say) => {
    let end = i;
    while (end < lines.length && quote.test(lines[end].t)) end++;
    const inner = lines.slice(i, end).map(l => rest(l, quote.exec(l.t)[0].length));
    return [end, () => fill(make("blockquote"), inner, depth + 1, say)];
  };
  const list = (lines, i, depth, say) => {
    const numbered = /\d/.test(item.exec(lines[i].t)[2]), margin = item.exec(lines[i].t)[1].length;
    const start = parseInt(item.exec(lines[i].t)[2], 10);
    const items = [];
    let end = i;
    for (; end < lines.length; end++) {
      const t = lines[end].t, mark = item.exec(t), indent = t.length - t.trimStart().length;
      if (blank(t)) {
        const next = lines.slice(end + 1).find(l => !blank(l.t));
        const after = next && item.exec(next.t);
        if (!next || next.t.length - next.t.trimStart().length <= margin && !(after && /\d/.test(after[2]) === numbered)) break;
        items[items.length - 1].push(lines[end]);
      } else if (mark && mark[1].length <= margin + 1 && !rule.test(t)) {
        if (/\d/.test(mark[2]) !== numbered || mark[1].length < margin) break;
        items.push([rest(lines[end], mark[0].length)]);
        items[items.length - 1].width = mark[0].length;
      } else if (indent <= margin && begins(t)) {
        break;
      } else {
        const of = items[items.length - 1];
        of.push(rest(lines[end], Math.min(indent, of.width)));
      }
    }
    return [end, () => {
      const all = make(numbered ? "ol" : "ul");
      if (numbered && start !== 1) all.start = start;
      for (const one of items) {
        const li = make("li");
        fill(li, one, depth + 1, say);
        const only = li.children;
        if (only.length && only[0].tagName === "P" && [...only].every((c, n) => n === 0 || c.tagName === "UL" || c.tagName === "OL")) only[0].className = "tight";
        all.append(li);
      }
      return all;
    }];
  };
  const table = (lines, i, depth, say) => {
    let end = i + 2;
    while (end < lines.length && lines[end].t.includes("|") && !blank(lines[end].t)) end++;
    const cells = line => {
      const out = [], t = line.t;
      let from = t.search(/\S/);
      if (t[from] === "|") from++;
      for (let n = from; n <= t.length; n++) {
        if (n < t.length && (t[n] !== "|" || t[n - 1] === "\\")) continue;
        if (n < t.length || !blank(t.slice(from))) out.push(rest({ at: line.at, t: t.slice(0, n).trimEnd() }, from));
        from = n + 1;
      }
      return out;
    };
    const right = cells(lines[i + 1]).map(c => /^[^-]*-+:\s*$/.test(c.t));
    return [end, () => {
      const scroll = make("div", "scroll"), all = make("table");
      scroll.tabIndex = 0;
      for (let n = i; n < end; n++) {
        if (n === i + 1) continue;
        const row = all.insertRow();
        cells(lines[n]).forEach((cell, column) => {
          const td = make(n === i ? "th" : "td", right[column] ? "n" : "");
          if (n === i) td.scope = "col";
          row.append(inline(td, [cell], say));
        });
      }
      scroll.append(all);
      return scroll;
    }];
  };
  const paragraph = (lines, i, depth, say) => {
    let end = i + 1;
    while (end < lines.length && !blank(lines[end].t) && !(depth < deepest && begins(lines[end].t))) end++;
    const part = lines.slice(i, end).map(l => rest(l, l.t.length - l.t.trimStart().length));
    return [end, () => inline(make("p"), part, say)];
  };

  // inline fills an element with lines, each followed in the text by its line's end.
  const inline = (into, lines, say) => {
    const t = lines.map(l => l.t).join("\n");
    const starts = [];
    let sum = 0;
    for (const l of lines) { starts.push(sum); sum += l.t.length + 1; }
    const emit = (to, a, b) => {
      for (let n = 0; n < lines.length && a < b; n++) {
        const from = starts[n], until = n + 1 < lines.length ? starts[n + 1] : t.length;
        if (a >= until) continue;
        const stop = Math.min(b, until);
        say(to, lines[n].at + a - from, lines[n].at + stop - from);
        a = stop;
      }
    };
    if (t.length > longest) emit(into, 0, t.length);
    else marks(into, t, 0, t.length, emit, 0);
    return into;
  };
  const word = c => c !== undefined && /[\p{L}\p{N}]/u.test(c);
  const space = c => c === undefined || /\s/.test(c);
  const linked = /\[((?:[^\[\]\\]|\\.)*)\]\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+"[^"]*")?\s*\)/y;
  const address = /https?:\/\/[^\s<>"'`|]+/y;

  // safe is an address that a link may have, undefined for any other.
  const safe = href => {
    try {
      const { protocol, href: whole } = new (globalThis.URL)(href);
      return ["http", "https", "mailto"].includes(protocol.slice(0, -1)) ? whole : undefined;
    } catch { return undefined; }
  };
  const link = href => {
    const a = make("a");
    a.href = href;
    a.rel = "noopener noreferrer nofollow";
    a.target = "_blank";
    a.title = href;
    return a;
  };
  // closing is where a mark that opens before i is closed, -1 where it is not.
  const closing = (t, mark, i, end) => {
    for (let at = t.indexOf(mark, i); at >= 0 && at + mark.length <= end; at = t.indexOf(mark, at + 1)) {
      if (at === i || space(t[at - 1]) || t[at - 1] === "\\") continue;
      if (mark.length === 1 && (at + 1 < end && t[at + 1] === mark || t[at - 1] === mark)) { at++; continue; }
      if (mark[0] === "_" && word(t[at + mark.length])) continue;
      return at;
    }
    return -1;
  };
  const marks = (into, t, i, end, emit, depth) => {
    let from = i;
    const flush = to => { if (to > from) emit(into, from, to); };
    const unclosed = new Set(); // marks that nothing closes from here on
    while (i < end) {
      const c = t[i];
      if (c === "\\" && i + 1 < end && /[!-/:-@[-`{-~]/.test(t[i + 1])) {
        flush(i);
        from = i + 1;
        i += 2;
        continue;
      }
      if (c === "`") {
        let n = i;
        while (t[n] === "`") n++;
        const mark = t.slice(i, n);
        let close = unclosed.has(mark) ? -1 : t.indexOf(mark, n);
        while (close >= 0 && (t[close + mark.length] === "`")) {
          while (t[close] === "`") close++;
          close = t.indexOf(mark, close);
        }
        if (close >= 0 && close + mark.length <= end) {
          flush(i);
          const code = make("code");
          const padded = close - n > 2 && t[n] === " " && t[close - 1] === " " ? 1 : 0;
          emit(code, n + padded, close - padded);
          into.append(code);
          i = from = close + mark.length;
        } else {
          unclosed.add(mark);
          i = n;
        }
        continue;
      }
      if ((c === "*" || c === "_" || c === "~") && depth < deepest) {
        let n = i;
        while (t[n] === c) n++;
        const size = Math.min(n - i, 2), mark = c.repeat(size);
        const opens = !space(t[n]) && !(c === "_" && word(t[i - 1])) && !(c === "~" && size < 2) && n - i <= 3;
        const close = opens && !unclosed.has(mark) ? closing(t, mark, i + size, end) : -1;
        if (close >= 0) {
          flush(i);
          const e = make(c === "~" ? "del" : size === 2 ? "strong" : "em");
          const inner = n - i === 3 && t[close + 2] === c ? close + 1 : close; // both at once
          marks(e, t, i + size, inner, emit, depth + 1);
          into.append(e);
          i = from = inner + size;
        } else {
          if (opens) unclosed.add(mark);
          i = n;
        }
        continue;
      }
      if (c === "[") {
        linked.lastIndex = i;
        const found = linked.exec(t);
        const href = found && i + found[0].length <= end && safe(found[2]);
        if (href) {
          flush(t[i - 1] === "!" && i - 1 >= from ? i - 1 : i);
          const a = link(href);
          if (found[1]) marks(a, t, i + 1, i + 1 + found[1].length, emit, deepest);
          else a.append(href);
          into.append(a);
          i = from = i + found[0].length;
          continue;
        }
      }
      if (c === "h" && depth < deepest && !word(t[i - 1])) {
        address.lastIndex = i;
        const found = address.exec(t);
        const text = found && found[0].replace(/[.,;:!?*_~)\]]+$/, "");
        const href = text && i + text.length <= end && safe(text);
        if (href) {
          flush(i);
          const a = link(href);
          emit(a, i, i + text.length);
          into.append(a);
          i = from = i + text.length;
          continue;
        }
      }
      i++;
    }
    flush(end);
  };

  // shown keeps an element at what a text that grows is. sourceAt(s, e) yields the pieces
  // of the text between two places as [s, e, dress], where dress, if there is one, makes the
  // element of the piece.
  const shown = (into, sources) => {
    let was = [];
    return text => {
      const say = (to, s, e) => {
        for (const [a, b, dress] of sources ? sources(s, e) : [[s, e]]) {
          const piece = text.slice(a, b);
          to.append(dress ? dress(piece) : piece);
        }
      };
      const now = blocks(linesOf(text), 0, say);
      let same = 0;
      while (same < was.length - 1 && same < now.length && was[same].s === now[same].s && was[same].e === now[same].e) same++;
      while (into.childNodes.length > same) into.lastChild.remove();
      for (const b of now.slice(same)) into.append(b.make());
      was = now.map(({ s, e }) => ({ s, e }));
    };
  };
  return { shown };
})();
