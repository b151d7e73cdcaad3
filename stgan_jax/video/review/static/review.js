"use strict";
// Original and result in step, and what to do about them. The server keeps every decision; this
// page keeps nothing but the frame that it shows, the chosen person and the box being drawn.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = document.body.dataset;
  const frames = Number(data.frames);
  const width = Number(data.width);
  const height = Number(data.height);
  const colours = getComputedStyle(document.documentElement);
  const colour = (name) => colours.getPropertyValue("--" + name).trim();
  let state = { moments: [], decisions: [], revision: -1 };
  let tracks = [];
  let frame = 0;
  let shown = -1; // the frame that both pictures show
  let chosen = null; // number of a track
  let before = null; // the one chosen before it
  let moment = null; // name of the doubtful moment that is looked at
  let drawing = null; // { kind, keys: Map(frame -> box), box, from }
  let armed = null; // the track that is left as it is if that is said again
  let playing = false;

  // --- the server ---------------------------------------------------------------------------

  function say(text, isError = false) {
    $("status").textContent = text;
    $("status").classList.toggle("error", isError);
  }

  async function ask(path, body) {
    const options = body === undefined ? {} : {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    };
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Error("The review cannot be reached. What was decided is stored.");
    }
    const reply = await answer.json();
    if (!answer.ok) throw new Error(reply.error);
    return reply;
  }

  async function change(path, body = {}) {
    try {
      await take(await ask(path, body));
      watch();
      return true;
    } catch (error) {
      say(error.message, true);
      return false;
    }
  }

  async function take(reply) {
    const isNew = reply.revision !== state.revision;
    state = reply;
    if (isNew) {
      tracks = (await ask("/tracks")).tracks;
      if (!tracks.some((track) => track.number === chosen)) chosen = null;
      shown = -1;
      show(frame);
      listTracks();
    }
    const left = state.moments.filter((one) => !one.seen).length;
    $("unseen").textContent = `${left} of ${state.moments.length} to be seen`;
    $("undo").disabled = !state.decisions.length;
    $("redo").disabled = !state.undone;
    $("sign").disabled = state.refusal !== null;
    $("sign").title = state.refusal || "";
    listMoments();
    listDecisions();
    draw();
    if (state.error) say(state.error, true);
    else if (state.busy) say(`Working: ${state.progress[0]} of ${state.progress[1]} frames rendered ...`);
    else if (state.signed) say(`Signed off: ${state.signed}`);
    else say(state.refusal || "Everything doubtful has been seen.");
  }

  let watching = false;
  async function watch() {
    if (watching) return;
    watching = true;
    try {
      while (state.busy) {
        await new Promise((done) => setTimeout(done, 150));
        await take(await ask("/state"));
      }
    } catch (error) {
      say(error.message, true);
    } finally {
      watching = false;
    }
  }

  // --- frames -------------------------------------------------------------------------------

  const address = (side, number) => `/frames/${side}/${number}?${state.revision}`;
  const kept = new Map(); // address -> picture, a few around the frame

  function picture(side, number) {
    const name = address(side, number);
    if (!kept.has(name)) {
      const image = new Image();
      image.src = name;
      kept.set(name, image);
      if (kept.size > 32) kept.delete(kept.keys().next().value);
    }
    return kept.get(name);
  }

  // The decoded picture itself: the browser may keep none, and would ask for another once more.
  function put(side, image) {
    const old = $(side);
    if (old === image) return;
    old.removeAttribute("id");
    Object.assign(image, { id: side, alt: side, draggable: false });
    old.replaceWith(image);
  }

  async function show(number) {
    frame = Math.min(Math.max(number, 0), frames - 1);
    const wanted = frame;
    $("number").value = frame;
    draw();
    const pair = ["original", "result"].map((side) => picture(side, wanted));
    try {
      await Promise.all(pair.map((image) => image.decode()));
    } catch {
      if (wanted === frame) say("This frame cannot be shown.", true);
      return;
    }
    if (wanted !== frame) return;
    put("original", pair[0]);
    put("result", pair[1]);
    shown = wanted;
    $("views").dataset.shown = shown;
    draw();
    if (wanted + 1 < frames) for (const side of ["original", "result"]) picture(side, wanted + 1);
  }

  async function play() {
    playing = !playing;
    $("play").textContent = playing ? "Stop" : "Play";
    while (playing && frame < frames - 1) {
      const pause = new Promise((done) => setTimeout(done, 40));
      await Promise.all([show(frame + 1), pause]);
    }
    playing = false;
    $("play").textContent = "Play";
  }

  // --- boxes over the pictures --------------------------------------------------------------

  function placeOf(image) {
    const outer = $("views").getBoundingClientRect();
    const inner = image.getBoundingClientRect();
    const scale = Math.min(inner.width / width, inner.height / height);
    return {
      scale,
      left: inner.left - outer.left + (inner.width - scale * width) / 2,
      top: inner.top - outer.top + (inner.height - scale * height) / 2,
    };
  }

  function overlay() {
    const boxes = [];
    for (const track of tracks) {
      const box = track.boxes[frame];
      if (box && track.number === chosen) boxes.push([box, "chosen"]);
    }
    const doubtful = state.moments.find((one) => one.name === moment);
    if (doubtful && doubtful.box && doubtful.first === frame) boxes.push([doubtful.box, "doubtful"]);
    if (drawing) {
      const box = drawing.box || between(frame);
      if (box) boxes.push([box, "new"]);
    }
    const places = $("views").classList.contains("over") ? ["original"] : ["original", "result"];
    $("overlay").replaceChildren(...places.flatMap((id) => {
      const { scale, left, top } = placeOf($(id));
      return boxes.map(([box, name]) => {
        const one = document.createElement("div");
        one.className = name;
        one.style.left = `${left + scale * box[0]}px`;
        one.style.top = `${top + scale * box[1]}px`;
        one.style.width = `${scale * (box[2] - box[0])}px`;
        one.style.height = `${scale * (box[3] - box[1])}px`;
        return one;
      });
    }));
  }

  function between(number) {
    if (drawing.kind === "hide") return [...drawing.keys.values()][0] || null;
    const keys = [...drawing.keys.keys()].sort((a, b) => a - b);
    if (!keys.length || number < keys[0] || number > keys[keys.length - 1]) return null;
    const after = keys.find((key) => key >= number);
    const before = keys.filter((key) => key <= number).pop();
    const share = after === before ? 0 : (number - before) / (after - before);
    const [one, other] = [drawing.keys.get(before), drawing.keys.get(after)];
    return one.map((side, i) => Math.round(side + share * (other[i] - side)));
  }

  function begin(kind) {
    drawing = { kind, keys: new Map(), box: null, from: null };
    $("first").value = 0;
    $("last").value = frames - 1;
    $("drawing").hidden = false;
    $("span").hidden = kind !== "hide";
    $("views").classList.add("drawing");
    hint();
  }

  function hint() {
    const count = drawing.keys.size;
    const text = drawing.kind === "hide"
      ? "Drag a box around what is never to be shown."
      : "Drag a box around the person; then go on some frames and drag again.";
    const keys = [...drawing.keys.keys()].sort((a, b) => a - b);
    $("hint").textContent = count && drawing.kind === "add"
      ? `Boxes at frames ${keys.join(", ")}; between them they are carried along.` : text;
    $("done").disabled = !count;
    overlay();
  }

  function end() {
    drawing = null;
    $("drawing").hidden = true;
    $("views").classList.remove("drawing");
    overlay();
  }

  async function finish() {
    if (!drawing || !drawing.keys.size) return;
    const keys = [...drawing.keys].sort((a, b) => a[0] - b[0]);
    const decision = drawing.kind === "hide"
      ? { do: "hide", box: keys[0][1], first: Number($("first").value), last: Number($("last").value) }
      : { do: "add", boxes: keys.map(([number, box]) => ({ frame: number, box })) };
    if (await change("/decide", decision)) end();
  }

  function point(event) {
    const { scale, left, top } = placeOf($("original"));
    const outer = $("views").getBoundingClientRect();
    const x = Math.round((event.clientX - outer.left - left) / scale);
    const y = Math.round((event.clientY - outer.top - top) / scale);
    return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  }

  $("views").addEventListener("pointerdown", (event) => {
    if (!drawing) return;
    drawing.from = point(event);
    $("views").setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  $("views").addEventListener("pointermove", (event) => {
    if (!drawing || !drawing.from) return;
    const [[a, b], [c, d]] = [drawing.from, point(event)];
    drawing.box = [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
    overlay();
  });
  $("views").addEventListener("pointerup", () => {
    if (!drawing || !drawing.from) return;
    const box = drawing.box;
    if (box && box[2] - box[0] > 2 && box[3] - box[1] > 2) {
      if (drawing.kind === "hide") drawing.keys.clear();
      drawing.keys.set(frame, box);
    }
    drawing.box = drawing.from = null;
    hint();
  });

  // --- the time line ------------------------------------------------------------------------

  const lane = () => Math.max(5, Math.min(14, Math.floor(220 / (tracks.length + 1))));
  function draw() {
    overlay();
    const tall = lane();
    const canvas = $("timeline");
    const ratio = window.devicePixelRatio || 1;
    canvas.style.height = `${24 + tall * (tracks.length + 1)}px`;
    const { width: wide, height: high } = canvas.getBoundingClientRect();
    canvas.width = wide * ratio;
    canvas.height = high * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "11px system-ui, sans-serif";
    const at = (number) => 28 + (number / frames) * (wide - 32);
    const block = (first, last, row, thick, fill) => {
      pen.fillStyle = fill;
      pen.fillRect(at(first), row, Math.max(2, at(last + 1) - at(first)), thick);
    };
    for (const one of state.moments) {
      block(one.first, one.last, 4, tall - 3, one.seen ? "#e3b1b0" : colour("doubtful"));
    }
    tracks.forEach((track, i) => {
      const row = 4 + tall * (i + 1);
      pen.fillStyle = track.number === chosen ? "#b36b00" : "#333";
      if (tall > 9 || track.number === chosen) pen.fillText(String(track.number), 6, row + 9);
      for (const [first, last, why] of track.runs) {
        const fill = track.how === "leave" ? "left" : why === null ? "drawn" : "covered";
        block(first, last, row, tall - 3, colour(fill));
      }
      for (const one of state.moments) {
        if (!one.seen && one.tracks.includes(track.number)) {
          block(one.first, one.last, row + tall - 4, 2, colour("doubtful"));
        }
      }
    });
    pen.fillStyle = "#0b5394";
    pen.fillRect(at(frame + 0.5) - 1, 0, 2, high);
  }

  function seek(event) {
    const { left, width: wide, top } = $("timeline").getBoundingClientRect();
    show(Math.floor(((event.clientX - left - 28) / (wide - 32)) * frames));
    const row = Math.floor((event.clientY - top - 4) / lane()) - 1;
    if (event.type === "pointerdown" && tracks[row]) choose(tracks[row].number);
  }
  $("timeline").addEventListener("pointerdown", seek);
  $("timeline").addEventListener("pointermove", (event) => event.buttons && seek(event));

  // --- lists --------------------------------------------------------------------------------

  function button(text, action, name = "") {
    const one = document.createElement("button");
    one.textContent = text;
    one.className = name;
    one.addEventListener("click", action);
    return one;
  }

  function item(...children) {
    const one = document.createElement("li");
    one.append(...children);
    return one;
  }

  function listMoments() {
    $("moments").replaceChildren(...state.moments.map((one) => {
      const name = `${one.seen ? "seen" : ""} ${one.name === moment ? "current" : ""}`;
      const text = `${one.first} to ${one.last}: ${one.text}`;
      return item(button(text, () => lookAt(one), name));
    }));
    const current = $("moments").querySelector(".current");
    if (current) current.scrollIntoView({ block: "nearest" });
  }

  function listTracks() {
    $("tracks").replaceChildren(...tracks.map((track) => {
      const pictures = ["original", "result"].map((side) => {
        const image = document.createElement("img");
        image.alt = `person ${track.number}, ${side}`;
        image.src = `/thumbnails/${side}/${track.number}?${state.revision}`;
        return image;
      });
      const covered = track.runs.filter(([, , why]) => why !== null);
      const why = [...new Set(covered.map(([, , reason]) => reason))].join(", ");
      const text = document.createElement("div");
      text.textContent = `${track.number}: frames ${track.first} to ${track.last}` + (why && `; ${why}`);
      const bar = document.createElement("div");
      bar.className = "bar";
      bar.append(...[["Anew", anew], ["Cover", cover], ["Leave", leave], ["Split", split], ["Merge", merge]].map(
        ([label, action]) => button(label, (event) => {
          event.stopPropagation();
          choose(track.number);
          action();
        }, label === "Leave" && armed === track.number ? "armed" : ""),
      ));
      if (data.alpha !== undefined) bar.append(strength(track));
      const row = item(...pictures, text, bar);
      row.className = track.number === chosen ? "chosen" : "";
      row.addEventListener("click", () => choose(track.number));
      return row;
    }));
  }

  function listDecisions() {
    $("decisions").replaceChildren(...state.decisions.map((one) => {
      const { do: does, boxes, box, sure, ...rest } = one;
      const about = Object.entries(rest).map(([name, value]) => `${name} ${value}`);
      if (boxes) about.push(`frames ${boxes[0].frame} to ${boxes[boxes.length - 1].frame}`);
      return item([does, ...about].join(", "));
    }));
  }

  // --- what can be done ---------------------------------------------------------------------

  function choose(number) {
    if (number !== chosen) [before, chosen] = [chosen, number];
    listTracks();
    draw();
  }

  function needed() {
    if (chosen === null) say("Choose a person first: click their lane, or press T.", true);
    return tracks.find((track) => track.number === chosen);
  }

  function anew() {
    const track = needed();
    if (track) draws(track, track.how === "draw" ? track.body + 1 : 1, track.alpha);
  }

  function draws(track, body, alpha) {
    change("/decide", { do: "anew", track: track.number, body, ...(alpha === null ? {} : { alpha }) });
  }

  // How far the body moves from the own one to the stranger's, of models that can do it.
  function strength(track) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), {
      type: "number", min: 0, max: 1, step: 0.1, value: track.alpha ?? Number(data.alpha),
    });
    for (const kind of ["click", "keydown"]) input.addEventListener(kind, (event) => event.stopPropagation());
    input.addEventListener("change", () => {
      if (input.reportValidity()) draws(track, track.body, Number(input.value));
    });
    label.append("strength ", input);
    return label;
  }

  function cover() {
    if (needed()) change("/decide", { do: "cover", track: chosen });
  }

  function leave() {
    if (!needed()) return;
    if (armed !== chosen) {
      armed = chosen;
      listTracks();
      say(`Person ${chosen} would be shown as filmed, as no person. Say so once more if you are sure.`, true);
      return;
    }
    armed = null;
    change("/decide", { do: "leave", track: chosen, sure: true });
  }

  function split() {
    if (needed()) change("/decide", { do: "split", track: chosen, frame });
  }

  function merge() {
    if (!needed()) return;
    if (before === null || !tracks.some((track) => track.number === before)) {
      say("Choose first the one person, then the other; then merge.", true);
    } else {
      const [one, other] = [Math.min(before, chosen), Math.max(before, chosen)];
      change("/decide", { do: "merge", track: one, with: other });
    }
  }

  function lookAt(one) {
    moment = one.name;
    if (one.tracks.length) choose(one.tracks[0]);
    show(one.first);
    listMoments();
  }

  function next() {
    const at = state.moments.findIndex((one) => one.name === moment);
    const rest = [...state.moments.slice(at + 1), ...state.moments.slice(0, at + 1)];
    const one = rest.find((other) => !other.seen);
    if (one) lookAt(one);
  }

  async function looked() {
    if (moment === null) return next();
    if (await change("/see", [moment])) next();
  }

  function turn() {
    const over = $("views").classList.toggle("over");
    $("views").classList.toggle("side", !over);
    $("view").textContent = over ? "Side by side" : "Slider";
    $("slider").hidden = !over;
    slide();
  }

  function slide() {
    const over = $("views").classList.contains("over");
    $("after").style.clipPath = over ? `inset(0 0 0 ${$("slider").value}%)` : "";
    overlay();
  }

  const chooseNext = () => {
    const here = tracks.filter((track) => track.boxes[frame]);
    if (!here.length) return;
    const at = here.findIndex((track) => track.number === chosen);
    choose(here[(at + 1) % here.length].number);
  };

  const actions = {
    back: () => show(frame - 1), forward: () => show(frame + 1), play, view: turn,
    add: () => begin("add"), hide: () => begin("hide"), cancel: end, next, looked,
    undo: () => change("/undo"), redo: () => change("/redo"),
    sign: () => $("signing").showModal(),
  };
  for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
  $("slider").addEventListener("input", slide);
  $("number").addEventListener("change", () => show(Number($("number").value)));
  $("drawing").addEventListener("submit", (event) => {
    event.preventDefault();
    finish();
  });
  $("signing").addEventListener("close", () => {
    if ($("signing").returnValue === "sign") change("/sign", { who: $("who").value });
  });
  window.addEventListener("resize", draw);

  const keys = {
    " ": play, n: next, t: chooseNext, a: anew, c: cover, l: leave, s: split, m: merge,
    b: () => begin("add"), h: () => begin("hide"), v: turn,
    z: () => change("/undo"), y: () => change("/redo"),
    home: () => show(0), end: () => show(frames - 1),
    escape: end, enter: () => (drawing ? finish() : looked()),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || $("signing").open) return;
    const key = event.key.toLowerCase();
    const step = event.shiftKey ? 10 : 1;
    const writing = event.target instanceof HTMLInputElement;
    if (writing && key !== "escape" && key !== "enter") return;
    if (event.target instanceof HTMLButtonElement && (key === "enter" || key === " ")) return;
    if (key === "arrowleft") show(frame - step);
    else if (key === "arrowright") show(frame + step);
    else if (keys[key] && (!event.repeat || key === "n")) keys[key]();
    else return;
    if (key !== "l" && armed !== null) {
      armed = null;
      listTracks();
    }
    event.preventDefault();
  });

  (async () => {
    try {
      await take(await ask("/state"));
      watch();
      next();
    } catch (error) {
      say(error.message, true);
    }
  })();
})();
