// One call on one timeline: two channels of sound, turns, tools, moments; the transcript, word by word; what plays.
const voicebotPlayer = (() => {
  const HOPS = { seen: "silence seen", end: "turn over", words: "final words", plan: "planned", commit: "committed",
    clause: "first clause", sound: "first sound sent", line: "heard", early_words: "words, ahead", early_plan: "plan, ahead",
    early_sound: "sound, ahead" };
  const LANES = [["time", 20], ["Caller", 58], ["Bot", 58], ["Turns", 30], ["Tools", 24], ["Events", 24]];
  const TOPS = LANES.reduce((tops, [, height]) => [...tops, tops.at(-1) + height], [0]);
  const HEIGHT = TOPS.at(-1);
  const STEP_MS = 5000, CLOSEST = 0.6, HEARD_AHEAD_MS = 60;
  const WHO = { caller: "Caller", bot: "Bot", agent: "Agent" };
  let marks = [], p = null;

  const el = (tag, cls, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (cls) made.className = cls;
    if (text !== undefined && text !== null) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const plain = (name) => String(name ?? "").replaceAll("_", " ");
  const clock = (ms, tenths) => {
    const s = Math.max(0, ms) / 1000, minutes = Math.floor(s / 60), rest = s - 60 * minutes;
    return `${minutes}:${(tenths ? rest.toFixed(1) : String(Math.floor(rest))).padStart(tenths ? 4 : 2, "0")}`;
  };
  const spoken = (ms) => {
    const s = Math.round(ms / 1000);
    return s < 60 ? `${s} seconds` : `${Math.floor(s / 60)} minutes ${s % 60} seconds`;
  };
  const shown = (value) => value === null || value === undefined ? "" : typeof value === "object"
    ? Object.entries(value).map(([k, v]) => `${plain(k)}: ${shown(v)}`).join("; ") : String(value);

  // --- sound and time ---------------------------------------------------------------
  const at = () => p.sound ? p.sound.currentTime * 1000 : p.at;
  const seek = (ms, play) => {
    p.at = Math.min(Math.max(0, ms), Math.max(0, p.ms - 1));
    if (p.sound) p.sound.currentTime = p.at / 1000;
    if (play && p.sound) p.sound.play().catch(() => {});
    show(p.at); tick();
  };
  const toggle = () => { if (p.sound) p.sound.paused ? p.sound.play().catch(() => {}) : p.sound.pause(); };
  const turn = (step) => {
    const now = at(), starts = p.view.turns.map((one) => one.at_ms).sort((a, b) => a - b);
    const to = step > 0 ? starts.find((ms) => ms > now + 50) : starts.filter((ms) => ms < now - 800).at(-1);
    if (to !== undefined) seek(to); else if (step < 0) seek(0);
  };
  const hear = (which) => { // one channel in both ears
    if (!p.audio && which !== "both") {
      const audio = new AudioContext(), source = audio.createMediaElementSource(p.sound);
      const split = audio.createChannelSplitter(2), join = audio.createChannelMerger(2);
      const gains = [[0, 0], [0, 1], [1, 0], [1, 1]].map(([from, to]) => {
        const gain = audio.createGain();
        split.connect(gain, from); gain.connect(join, 0, to);
        return gain;
      });
      source.connect(split); join.connect(audio.destination);
      p.audio = { audio, gains };
    }
    if (!p.audio) return;
    p.audio.audio.resume();
    const levels = { both: [1, 0, 0, 1], caller: [1, 1, 0, 0], bot: [0, 0, 1, 1] }[which];
    p.audio.gains.forEach((gain, n) => { gain.gain.value = levels[n]; });
  };
  const tick = () => { // what is heard now
    const now = at();
    p.clock.textContent = `${clock(now, true)} / ${clock(p.ms, true)}`;
    p.scroller.setAttribute("aria-valuenow", Math.round(now / 1000));
    p.scroller.setAttribute("aria-valuetext", spoken(now));
    let word = null;
    for (const one of p.words) if (one.at <= now + HEARD_AHEAD_MS && now < one.until + 150) word = one;
    if (word !== p.word) {
      p.word?.element.classList.remove("now");
      word?.element.classList.add("now");
      p.word = word;
      if (word && p.follow.checked && p.sound && !p.sound.paused) near(word.element.closest(".said"));
    }
    draw();
    if (p.sound && !p.sound.paused) {
      if (p.follow.checked) show(now);
      requestAnimationFrame(tick);
    }
  };
  const near = (line) => { // into sight: the page where the player stays in it, else the transcript alone
    const box = p.script, top = line.offsetTop;
    if (getComputedStyle(box).overflowY !== "auto") {
      line.style.scrollMargin = `${p.root.getBoundingClientRect().height + 72}px 0 1.5rem`;
      line.scrollIntoView({ block: "nearest" });
    } else if (top < box.scrollTop || top + line.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top - 40;
  };
  const show = (ms) => { // the timeline scrolls along
    const x = ms * p.zoom, left = p.scroller.scrollLeft, width = p.scroller.clientWidth;
    if (x < left + 20 || x > left + width * 0.85) p.scroller.scrollLeft = x - width * 0.25;
  };

  // --- drawing ----------------------------------------------------------------------
  const zoomTo = (zoom, aboutMs) => {
    const width = p.scroller.clientWidth, fit = width / Math.max(1, p.ms), about = aboutMs ?? at();
    const place = about * p.zoom - p.scroller.scrollLeft;
    p.zoom = Math.min(Math.max(fit, zoom), Math.max(fit, CLOSEST));
    p.wide.style.width = `${Math.max(width, Math.floor(p.ms * p.zoom))}px`;
    p.scroller.scrollLeft = about * p.zoom - (place > 0 && place < width ? place : width / 2);
    louder(); draw();
  };
  const louder = () => { // finer loudness of what is seen, once it stands still
    clearTimeout(p.asking);
    p.asking = setTimeout(async () => {
      const from = Math.max(0, Math.floor(p.scroller.scrollLeft / p.zoom)), width = p.scroller.clientWidth;
      const until = Math.min(p.ms, Math.ceil(from + width / p.zoom));
      if (!p.loud || (p.ms / p.loud.caller.length) * p.zoom <= 1.5 || until - from < 50) return;
      const points = Math.min(2000, Math.ceil((until - from) / 10), width * 2);
      const fine = await ask(`peaks?from_ms=${from}&until_ms=${until}&points=${Math.max(1, points)}`);
      if (fine) { p.fine = fine; draw(); }
    }, 150);
  };
  const draw = () => { if (!p.drawing) { p.drawing = true; requestAnimationFrame(() => { p.drawing = false; paint(); }); } };
  const colours = () => {
    const found = {};
    for (const one of p.swatches.children) found[one.dataset.name] = getComputedStyle(one).color;
    return found;
  };
  const paint = () => {
    const width = p.scroller.clientWidth, scale = window.devicePixelRatio || 1, canvas = p.canvas;
    if (!width) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== HEIGHT * scale) {
      canvas.width = Math.round(width * scale); canvas.height = HEIGHT * scale;
      canvas.style.width = `${width}px`; canvas.style.height = `${HEIGHT}px`;
    }
    const g = canvas.getContext("2d"), c = p.colours, left = p.scroller.scrollLeft, X = (ms) => ms * p.zoom - left;
    const from = left / p.zoom, until = (left + width) / p.zoom;
    const seen = (a, b) => b >= from && a <= until;
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, width, HEIGHT);
    g.font = p.font; g.textBaseline = "middle";
    g.fillStyle = c.line;
    for (const top of TOPS.slice(1, -1)) g.fillRect(0, top, width, 1);
    ruler(g, c, X, from, until);
    wave(g, c, X, 1, "caller"); wave(g, c, X, 2, "bot");
    silences(g, c, X, seen, width);
    if (p.zoom > 0.1) for (const [lane, who] of [[1, "caller"], [2, "bot"]]) labels(g, c, X, seen, lane, who);
    for (const one of p.view.turns) if (seen(one.at_ms, one.until_ms)) turnBar(g, c, X, one);
    for (const one of p.bars) if (seen(one.at, one.until)) bar(g, c, X, one);
    for (const one of p.view.moments) {
      if (one.lane !== "events" || !seen(one.at_ms, one.at_ms)) continue;
      g.fillStyle = one.kind === "overlap" || one.kind === "failed" || one.kind === "key" ? c.alarm : c.soft;
      g.beginPath(); g.arc(X(one.at_ms), TOPS[5] + 12, 3.2, 0, 7); g.fill();
    }
    const now = X(at());
    g.fillStyle = c.alarm; g.fillRect(now - 0.75, 0, 1.5, HEIGHT);
    g.beginPath(); g.moveTo(now - 5, 0); g.lineTo(now + 5, 0); g.lineTo(now, 7); g.fill();
  };
  const ruler = (g, c, X, from, until) => {
    const step = [100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000]
      .find((ms) => ms * p.zoom > 64) || 1800000;
    g.fillStyle = c.soft;
    for (let ms = Math.floor(from / step) * step; ms <= Math.min(until, p.ms); ms += step) {
      g.globalAlpha = 0.35; g.fillRect(X(ms), 0, 1, HEIGHT); g.globalAlpha = 1;
      g.fillText(clock(ms, step < 1000), X(ms) + 4, 10);
    }
  };
  const wave = (g, c, X, lane, who) => {
    const middle = TOPS[lane] + (LANES[lane][1] - (p.zoom > 0.1 ? 14 : 0)) / 2, most = middle - TOPS[lane] - 3;
    g.fillStyle = c[who];
    g.globalAlpha = 0.35; g.fillRect(X(0), middle, p.ms * p.zoom, 1); g.globalAlpha = 1;
    const loud = p.fine && p.fine.from_ms <= p.scroller.scrollLeft / p.zoom + 1
      && p.fine.until_ms >= Math.min(p.ms, (p.scroller.scrollLeft + p.scroller.clientWidth) / p.zoom) - 1 ? p.fine : p.loud;
    if (!loud) return;
    const points = loud[who], per = (loud.until_ms - loud.from_ms) / Math.max(1, points.length), width = p.scroller.clientWidth;
    const ms = (x) => (x + p.scroller.scrollLeft) / p.zoom;
    for (let x = 0; x < width; x += 1) {
      const a = Math.floor((ms(x) - loud.from_ms) / per), b = Math.max(a + 1, Math.floor((ms(x + 1) - loud.from_ms) / per));
      let top = 0;
      for (let n = Math.max(0, a); n < Math.min(points.length, b); n += 1) if (points[n] > top) top = points[n];
      const high = (top / 255) * most;
      if (high > 0.4) g.fillRect(x, middle - high, 1, 2 * high);
    }
  };
  const silences = (g, c, X, seen, width) => {
    for (const one of p.view.silences) {
      const until = Math.min(p.ms, one.until_ms ?? p.ms);
      if (!seen(one.at_ms, until)) continue;
      const lane = one.channel === "caller" ? 1 : 2, x = Math.max(-1, X(one.at_ms)), w = Math.min(width + 2, X(until)) - x;
      g.save(); g.beginPath(); g.rect(x, TOPS[lane] + 1, w, LANES[lane][1] - 1); g.clip();
      g.fillStyle = c.tint; g.fillRect(x, TOPS[lane], w, LANES[lane][1]);
      g.strokeStyle = c.edge; g.globalAlpha = 0.55; g.lineWidth = 1;
      for (let n = x - 70 - ((x + p.scroller.scrollLeft) % 9); n < x + w; n += 9) {
        g.beginPath(); g.moveTo(n, TOPS[lane] + LANES[lane][1]); g.lineTo(n + LANES[lane][1], TOPS[lane]); g.stroke();
      }
      g.globalAlpha = 1;
      const whole = one.why === "card" ? "card: not kept" : "personal: silent";
      const text = w > g.measureText(whole).width + 16 ? whole : "silent", size = g.measureText(text).width;
      if (w > size + 16) {
        const y = TOPS[lane] + LANES[lane][1] / 2;
        g.fillStyle = c.tint; g.fillRect(x + w / 2 - size / 2 - 5, y - 9, size + 10, 18);
        g.fillStyle = c.soft; g.fillText(text, x + w / 2 - size / 2, y);
      }
      g.restore();
    }
  };
  const labels = (g, c, X, seen, lane, who) => {
    let free = -1e9;
    g.fillStyle = c.ink;
    for (const one of p.words) {
      if (one.who !== who || !seen(one.at, one.until)) continue;
      const x = Math.max(X(one.at), free);
      if (x > X(one.until)) continue;
      g.fillText(one.text, x, TOPS[lane + 1] - 9);
      free = x + g.measureText(one.text).width + 5;
    }
  };
  const turnBar = (g, c, X, one) => {
    const top = TOPS[3], text = `${one.turn} ${plain(one.intent)}`, begin = X(one.at_ms), end = X(Math.max(one.until_ms, one.at_ms));
    g.fillStyle = p.chosen === one.turn ? c.tint : c.card;
    g.fillRect(begin, top + 2, Math.max(2, end - begin), 26);
    g.fillStyle = c.line; g.fillRect(begin, top + 2, 1, 26);
    for (const hop of one.hops) {
      g.fillStyle = c[`hop-${hop.ahead ? "ahead" : hop.name}`] || c.soft;
      g.fillRect(X(hop.at_ms), top + (hop.ahead ? 22 : 17), Math.max(1.5, (hop.until_ms - hop.at_ms) * p.zoom), hop.ahead ? 3 : 9);
    }
    const room = end - Math.max(0, begin) - 6;
    if (room > 24) {
      g.save(); g.beginPath(); g.rect(Math.max(0, begin), top, room + 4, 17); g.clip();
      g.fillStyle = c.ink; g.fillText(text, Math.max(0, begin) + 4, top + 10); g.restore();
    }
  };
  const bar = (g, c, X, one) => {
    const top = TOPS[4] + (one.tool ? 3 : 13), x = X(one.at), w = Math.max(3, (one.until - one.at) * p.zoom);
    g.fillStyle = one.tool ? c["hop-plan"] : c["hop-commit"];
    g.fillRect(x, top, w, 8);
    if (one.tool && p.zoom > 0.03) { g.fillStyle = c.ink; g.fillText(one.text, x + w + 4, top + 5); }
  };

  // --- the transcript ---------------------------------------------------------------
  const write = () => {
    const turns = new Map(p.view.turns.map((one) => [one.turn, one])), last = new Map(), list = el("div", "lines", null, { role: "list" });
    p.view.lines.forEach((line, n) => { if (line.turn !== null) last.set(line.turn, n); });
    const told = new Set();
    const why = (number) => { const one = turns.get(number); if (one && !told.has(number)) { told.add(number); list.append(reasons(one)); } };
    p.view.lines.forEach((line, n) => { list.append(said(line)); if (line.turn !== null && last.get(line.turn) === n) why(line.turn); });
    for (const one of p.view.turns) why(one.turn);
    if (!p.view.lines.length) list.append(el("p", "soft", "Nothing of what was said is known."));
    p.script.replaceChildren(list);
  };
  const HOW = { keys: "by keys", not_heard: "not understood well", interrupted: "interrupted" };
  const said = (line) => {
    const box = el("div", `said ${line.who}`, null, { role: "listitem", "data-t": line.turn ?? "" });
    const by = el("span", "by"), how = HOW[line.how] ? ` (${HOW[line.how]})` : "";
    const from = el("button", "from", `▶ ${clock(line.at_ms)}`, { type: "button", "data-seek": line.at_ms });
    from.setAttribute("aria-label", `Play from ${spoken(line.at_ms)}, ${WHO[line.who]}`);
    by.append(from, ` ${WHO[line.who]}${how}`);
    const words = el("span", "words");
    line.words.forEach((word, n) => {
      const one = el("span", word.exact ? "w" : "w about", word.text, { "data-at": word.at_ms });
      if (n) words.append(" ");
      words.append(one);
      p.words.push({ at: word.at_ms, until: word.until_ms, who: line.who === "agent" ? "bot" : line.who, text: word.text, element: one });
    });
    if (line.unheard) words.append(" ", el("s", "soft", line.unheard, { title: "was not heard" }));
    box.append(by, words);
    if (line.turn !== null) {
      const mark = el("button", "note", "Mark", { type: "button", "data-turn": line.turn, "data-key": "n" });
      mark.setAttribute("aria-label", `Mark: ${line.words.map((word) => word.text).join(" ").slice(0, 60)}`);
      box.append(mark);
    }
    return box;
  };
  const reasons = (one) => {
    const whole = el("div", "turn-end"), box = el("details", "why", null, { "data-of": one.turn });
    const short = [plain(one.intent), plain(one.action), ...one.tools.map((tool) => plain(tool.tool)),
      one.waited_ms === null ? "" : `waited ${(one.waited_ms / 1000).toFixed(2)} s`].filter(Boolean).join(" · ");
    box.append(el("summary", "", `Turn ${one.turn}: ${short}`));
    whole.append(el("div", "noted", null, { "data-marks": one.turn }), box);
    box.addEventListener("toggle", () => { if (box.open && !box.dataset.full) { box.dataset.full = "1"; fill(box, one); } if (box.open) near(box); pick(one.turn); });
    return whole;
  };
  const facts = (pairs) => {
    const list = el("dl", "facts");
    for (const [name, value] of pairs) if (value) list.append(el("dt", "", name), el("dd", "", value));
    return list;
  };
  const fill = (box, one) => {
    const sure = Object.entries(one.confidences).map(([name, value]) => `${plain(name)} ${value.toFixed(2)}`).join(", ");
    box.append(facts([["Policy", one.row], ["Route", one.route], ["Then", one.after === "continue" ? "" : plain(one.after)],
      ["Fired", plain(one.trigger)], ["No article", plain(one.gap)], ["Sure of", sure], ["Reasons", one.reasons.join("; ")],
      ["Sources", one.sources.join("; ")]]));
    if (one.hops.length) box.append(el("h3", "small", one.early ? "Waterfall (from a plan made ahead)" : "Waterfall"), waterfall(one));
    for (const tool of one.tools) {
      box.append(el("h3", "small", `Tool: ${plain(tool.tool)}`), facts([["Came of it", plain(tool.outcome)],
        ["Took", `${tool.duration_ms} ms`], ["Given", shown(tool.inputs)], ["Answered", shown(tool.outputs)]]));
    }
    const moments = p.view.moments.filter((m) => m.at_ms >= from(one) && m.at_ms <= one.until_ms);
    if (moments.length) {
      const list = el("ul", "moments");
      for (const m of moments) {
        const item = el("li");
        item.append(el("button", "from", clock(m.at_ms, true), { type: "button", "data-seek": m.at_ms, "aria-label": `Play from ${spoken(m.at_ms)}` }), ` ${m.text}`);
        list.append(item);
      }
      box.append(el("h3", "small", "What happened"), list);
    }
    const words = p.view.lines.find((line) => line.turn === one.turn && line.who === "caller");
    if (words) box.append(el("button", "act tiny", "Propose as a golden case", { type: "button", "data-golden": one.turn,
      "data-intent": one.intent, "data-quote": words.words.map((word) => word.text).join(" ") }));
  };
  const from = (one) => { // a turn's moments begin where the caller did
    const line = p.view.lines.find((said) => said.turn === one.turn);
    return Math.min(one.at_ms, line ? line.at_ms - 400 : one.at_ms);
  };
  const waterfall = (one) => {
    const box = el("ul", "waterfall"), begin = Math.min(...one.hops.map((hop) => hop.at_ms)), end = Math.max(...one.hops.map((hop) => hop.until_ms));
    const share = (ms) => `${(100 * ms) / Math.max(1, end - begin)}%`;
    for (const hop of one.hops) {
      const row = el("li", hop.ahead ? "ahead" : ""), track = el("span", "track"), made = el("span", `bar hop-${hop.ahead ? "ahead" : hop.name}`);
      made.style.marginLeft = share(hop.at_ms - begin); made.style.width = `max(2px, ${share(hop.until_ms - hop.at_ms)})`;
      track.append(made);
      row.append(el("span", "name", HOPS[hop.name] || plain(hop.name)), track, el("span", "ms", `${hop.until_ms - hop.at_ms} ms`));
      box.append(row);
    }
    return box;
  };
  const pick = (number) => { p.chosen = number; draw(); };
  const note = () => {
    if (!p?.view) return;
    for (const place of p.script.querySelectorAll("[data-marks]")) {
      const own = marks.filter((one) => String(one.turn) === place.dataset.marks);
      place.replaceChildren(...own.map((one) => el("span", "tag strong", one.more ? `${one.text}: ${one.more}` : one.text)));
      place.parentElement.classList.toggle("marked", own.length > 0);
    }
  };

  // --- what is under the pointer -----------------------------------------------------
  const under = (event) => {
    const box = p.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const ms = (x + p.scroller.scrollLeft) / p.zoom, lane = TOPS.findLastIndex((top) => y >= top);
    return { ms, lane, near: 6 / p.zoom };
  };
  const tell = (event) => {
    const { ms, lane, near } = under(event), parts = [clock(ms, true)];
    if (lane === 3) for (const one of p.view.turns) {
      if (ms < one.at_ms || ms > one.until_ms) continue;
      parts.push(`turn ${one.turn}: ${plain(one.intent)}, ${plain(one.action)}`);
      const hop = one.hops.find((h) => !h.ahead && ms >= h.at_ms - near && ms <= h.until_ms + near);
      if (hop) parts.push(`${HOPS[hop.name] || hop.name}: ${hop.until_ms - hop.at_ms} ms`);
    }
    if (lane === 4) parts.push(...p.bars.filter((one) => ms >= one.at - near && ms <= one.until + near).map((one) => one.told));
    if (lane === 5) parts.push(...p.view.moments.filter((one) => one.lane === "events" && Math.abs(one.at_ms - ms) <= near).map((one) => one.text));
    if (lane === 1 || lane === 2) {
      const word = p.words.find((one) => (one.who === "caller") === (lane === 1) && ms >= one.at && ms <= one.until);
      if (word) parts.push(word.text);
    }
    p.tip.textContent = parts.join(" · ");
  };

  // --- beginning --------------------------------------------------------------------
  const ask = async (what) => {
    const answer = await fetch(`${p.base}/${what}`).catch(() => null);
    if (answer?.ok) return answer.json();
    const said = answer ? await answer.json().then((one) => one.detail, () => "") : "";
    p.alarm.textContent = answer?.status === 401 ? "Sign in again, then load the page anew." : said || "The server does not answer: load the page anew.";
    return null;
  };
  const does = { play: toggle, back: () => seek(at() - STEP_MS), on: () => seek(at() + STEP_MS), "turn-back": () => turn(-1),
    "turn-on": () => turn(1), in: () => zoomTo(p.zoom * 1.6), out: () => zoomTo(p.zoom / 1.6), fit: () => zoomTo(0) };
  const listen = () => {
    document.addEventListener("click", (e) => {
      const act = e.target.closest?.("[data-do]"), place = e.target.closest?.("[data-seek]"), word = e.target.closest?.(".w[data-at]");
      if (act) does[act.dataset.do]?.();
      else if (place) { e.preventDefault(); seek(Number(place.dataset.seek), true); }
      else if (word) seek(Number(word.dataset.at), true);
    });
    document.addEventListener("keydown", (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || !voicebotDesk.keysOn() || document.querySelector("dialog[open]")) return;
      const on = e.target;
      if (on.matches?.("input, textarea, select") || (e.key === " " && on.matches?.("button, a, summary"))) return;
      const key = e.key === " " ? "play" : e.key === "ArrowLeft" ? (e.shiftKey ? "turn-back" : "back")
        : e.key === "ArrowRight" ? (e.shiftKey ? "turn-on" : "on") : e.key === "+" ? "in" : e.key === "-" ? "out" : null;
      if (key) { e.preventDefault(); does[key](); }
    });
    p.scroller.addEventListener("scroll", () => { draw(); louder(); }, { passive: true });
    p.scroller.addEventListener("pointermove", tell);
    p.scroller.addEventListener("pointerleave", () => { p.tip.textContent = ""; });
    p.scroller.addEventListener("wheel", (e) => {
      if (!e.ctrlKey) return;
      e.preventDefault(); zoomTo(p.zoom * Math.exp(-e.deltaY / 200), under(e).ms);
    }, { passive: false });
    p.canvas.addEventListener("click", (e) => {
      const { ms, lane } = under(e), one = p.view.turns.find((t) => ms >= t.at_ms && ms <= t.until_ms);
      seek(ms);
      if (lane === 3 && one) { const box = p.script.querySelector(`[data-of="${one.turn}"]`); box.open = true; }
    });
    new ResizeObserver(() => zoomTo(p.whole ? 0 : p.zoom)).observe(p.scroller);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { p.colours = colours(); draw(); });
    if (!p.sound) return;
    const face = () => { p.play.textContent = p.sound.paused ? "Play" : "Pause"; tick(); };
    for (const one of ["play", "pause", "ended", "seeked", "loadedmetadata"]) p.sound.addEventListener(one, face);
    p.sound.addEventListener("error", () => { p.alarm.textContent = "The sound cannot be fetched. Load the page anew, or sign in again."; });
    document.getElementById("speed").addEventListener("change", (e) => { p.sound.playbackRate = Number(e.target.value); });
    document.getElementById("hear").addEventListener("change", (e) => hear(e.target.value));
  };
  const start = async (root) => {
    const find = (one) => root.querySelector(one);
    p = { root, base: root.dataset.base, ms: Number(root.dataset.ms), at: 0, words: [], word: null, zoom: 1, bars: [], whole: true,
      script: document.getElementById("script"), scroller: find(".scroller"), wide: find(".wide"), canvas: find("canvas"),
      clock: find("#clock"), tip: find(".tip"), alarm: find("#player-alarm"), play: find(".play"), follow: find("#follow"),
      sound: document.getElementById("sound"), font: `12px ${getComputedStyle(document.body).fontFamily}` };
    p.swatches = el("span", "swatches", null, { "aria-hidden": "true" });
    for (const name of ["ink", "soft", "line", "edge", "card", "tint", "alarm", "caller", "bot", ...Object.keys(HOPS).slice(0, 8).map((hop) => `hop-${hop}`), "hop-ahead"])
      p.swatches.append(el("i", `c-${name}`, null, { "data-name": name }));
    root.append(p.swatches);
    p.colours = colours();
    find(".names").replaceChildren(...LANES.map(([name, height]) => { const one = el("span", "", name === "time" ? "" : name); one.style.height = `${height}px`; return one; }));
    p.scroller.setAttribute("aria-valuemin", 0);
    p.scroller.setAttribute("aria-valuemax", Math.round(p.ms / 1000));
    p.view = await ask("timeline");
    if (!p.view) return;
    p.bars = [...p.view.turns.flatMap((one) => one.tools.map((tool) => ({ tool: true, at: tool.at_ms, until: tool.at_ms + tool.duration_ms,
      text: plain(tool.tool), told: `${plain(tool.tool)}: ${plain(tool.outcome)}, ${tool.duration_ms} ms` }))),
    ...p.view.moments.filter((one) => one.lane === "systems").map((one) => ({ tool: false, at: one.at_ms, until: one.until_ms ?? one.at_ms, text: one.text, told: one.text }))];
    write(); note(); listen(); zoomTo(0); tick();
    root.dataset.ready = "1";
    if (p.ms > 0) { p.loud = await ask(`peaks?points=${Math.min(4000, Math.max(1, Math.ceil(p.ms / 10)))}`); draw(); louder(); }
  };
  const wait = setInterval(() => {
    const root = document.getElementById("player");
    if (root && document.getElementById("script") && !root.dataset.on) { root.dataset.on = "1"; clearInterval(wait); start(root); }
  }, 50);
  return { marked(rows) { marks = rows; note(); } };
})();
