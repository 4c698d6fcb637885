// The page put together: forms to requests, and what comes of them into the list.

import { Problem, forgetKey, get, key, submit, upload, useKey } from "./api.js";
import { Live } from "./live.js";
import { spectrum } from "./picture.js";
import { Pieces, clock, element, hush } from "./pieces.js";
import { save } from "./saving.js";

const INSTRUMENTS = ["drums", "bass", "piano", "guitar", "strings", "organ", "synth", "brass"];
const CHOSEN = ["drums", "bass", "piano"];
const BUFFER = 1; // seconds ahead, so that a steer is heard soon
const WINDOW = 30; // seconds that a file of the same seed has alike

const at = (id) => document.getElementById(id);
const prompt = at("prompt");

function trouble(error) {
  const told = at("trouble");
  told.hidden = !error;
  told.textContent = error?.message ?? "";
  if (error && !(error instanceof Problem)) console.error(error);
}
at("trouble").onclick = () => trouble(null);

/** Run what a person asked for; what goes wrong is said in words. */
function attempt(action) {
  return async (event) => {
    event?.preventDefault();
    trouble(null);
    try {
      await action(event);
    } catch (error) {
      trouble(error);
    }
  };
}

function words() {
  const text = prompt.value.trim();
  if (text) return text;
  prompt.focus();
  throw new Problem("Say what it should play: a few words are enough.");
}

// ── The model, the key, and ideas ───────────────────────────────────────────────────────────────

const greetLater = () => setTimeout(() => greet().catch(notYet), 1500);

/** The server may be back in a moment; who is not let in has to do something first. */
function notYet(error) {
  trouble(error);
  if (error.status !== 401) greetLater();
}

async function greet() {
  const [model] = await get("/v1/models");
  at("unlock").hidden = true;
  at("leave").hidden = !key();
  if (!model) {
    at("model").textContent = "the model is being loaded…";
    greetLater();
    return;
  }
  const free = model.licence.startsWith("CC-BY-NC") ? "not for commercial use" : model.licence;
  at("model").textContent = `${model.name}, ${model.channels === 2 ? "stereo" : "mono"}, ${free}`;
  const melody = model.family === "melody";
  document.querySelector("[data-use=melody]").hidden = !melody;
  at("over").parentElement.hidden = melody; // such a model turns at once
  if (melody) at("over").value = 0;
}

async function begin() {
  const [ideas] = await Promise.all([get("/v1/prompts"), greet(), pieces.begin()]);
  const chips = Object.entries(ideas).map(([name, text]) =>
    element("button", { type: "button", textContent: name, title: text, onclick: () => (prompt.value = text) }),
  );
  at("ideas").replaceChildren(...chips);
}

at("leave").onclick = () => {
  forgetKey();
  location.reload();
};

document.addEventListener("locked", () => (at("unlock").hidden = false));
at("unlock").onsubmit = attempt(async () => {
  await useKey(at("key").value.trim());
  await begin();
});

// ── Tabs, sliders ───────────────────────────────────────────────────────────────────────────────

const tabs = [...document.querySelectorAll("[role=tab]")];

function choose(tab) {
  for (const one of tabs) {
    const chosen = one === tab;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    at(one.getAttribute("aria-controls")).hidden = !chosen;
  }
}

for (const [n, tab] of tabs.entries()) {
  tab.onclick = () => choose(tab);
  tab.onkeydown = ({ key }) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (!step) return;
    const next = tabs[(n + step + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  };
}

for (const range of document.querySelectorAll(".grid input[type=range]")) {
  const shown = range.parentElement.querySelector("output");
  range.addEventListener("input", () => (shown.value = range.value));
  shown.value = range.value;
}

// ── What to make ────────────────────────────────────────────────────────────────────────────────

const take = at("take");
let before = { take: {}, band: {}, loop: {} }; // what is made again: what has no field stays as it was

at("forget").onclick = () => {
  before = { take: {}, band: {}, loop: {} };
  at("as-before").hidden = true;
  prompt.focus();
};

const number = ({ value }) => (value ? Number(value) : null);

/** The options of what is heard at once as well as of a file. */
function options() {
  const { negative, seed, guidance, temperature, enhance } = take.elements;
  const { top_k, top_p } = before.take;
  return {
    top_k,
    top_p,
    prompt: words(),
    guidance: Number(guidance.value),
    temperature: Number(temperature.value),
    enhance: enhance.checked,
    negative: negative.value.trim() || null,
    seed: number(seed),
  };
}

const make = async (kind, request) => pieces.add(await submit(kind, request));

/** A choice of yes, no, and leaving it to the server. */
const decided = ({ value }) => (value ? value === "true" : null);

function takeRequest() {
  const { duration, best_of, in_time, in_key, format } = take.elements;
  return {
    ...before.take,
    beginning: null,
    melody: null,
    ...options(),
    duration: Number(duration.value),
    best_of: number(best_of),
    in_time: decided(in_time),
    in_key: decided(in_key),
    format: format.value,
  };
}

take.onsubmit = attempt(() => make("generate", takeRequest()));

take.elements.enhance.onchange = attempt(async () => {
  const hint = at("enhanced");
  hint.hidden = !take.elements.enhance.checked;
  if (hint.hidden) return;
  const query = new URLSearchParams({ prompt: words() });
  hint.textContent = `It will ask for: ${(await get(`/v1/prompts/enhanced?${query}`)).description}`;
});

/** Offer the instruments of a band and choose some, of which a band made elsewhere may have others. */
function offerTracks(names, chosen) {
  const boxes = names.map((name) => {
    const box = element("input", { type: "checkbox", name: "track", value: name, checked: chosen.includes(name) });
    return element("label", {}, box, name);
  });
  at("instruments").replaceChildren(...boxes);
}
offerTracks(INSTRUMENTS, CHOSEN);

at("band").onsubmit = attempt(() => {
  const tracks = [...document.querySelectorAll("[name=track]:checked")].map(({ value }) => value);
  const { bars, seed } = at("band").elements;
  const prompts = Object.entries(before.band.prompts ?? {}).filter(([name]) => tracks.includes(name));
  return make("band", {
    ...before.band,
    prompt: words(),
    tracks,
    prompts: prompts.length ? Object.fromEntries(prompts) : null,
    bars: Number(bars.value),
    seed: number(seed),
  });
});

at("loop").onsubmit = attempt(() => {
  const { count, bars, tempo } = at("loop").elements;
  return make("loop", {
    ...before.loop,
    prompt: words(),
    count: Number(count.value),
    bars: Number(bars.value),
    tempo: number(tempo),
  });
});

// ── From a file ─────────────────────────────────────────────────────────────────────────────────

let sound = null;

function uploaded(made) {
  sound = made;
  at("uploaded").textContent = `${made.name}, ${made.seconds.toFixed(1)} seconds. What shall be done with it?`;
  at("uses").hidden = false;
}

/** Offer what was sent earlier. */
async function reuse(id) {
  at("uses").hidden = true;
  at("uploaded").textContent = "";
  uploaded(await get(`/v1/uploads/${id}`));
}

const receive = attempt(async (event) => {
  const [file] = event.dataTransfer?.files ?? event.target.files;
  if (!file) return;
  at("uses").hidden = true;
  at("uploaded").textContent = `Sending ${file.name}…`;
  try {
    uploaded(await upload(file, file.name));
  } catch (error) {
    at("uploaded").textContent = "";
    throw error;
  }
});

at("sound").onchange = receive;
at("drop").ondragover = (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
};
at("drop").ondragleave = () => at("drop").classList.remove("over");
at("drop").ondrop = (event) => {
  at("drop").classList.remove("over");
  return receive(event);
};

const uses = {
  beginning: () => make("generate", { ...takeRequest(), in_time: null, in_key: null, beginning: sound.id }),
  melody: () => make("generate", { ...takeRequest(), melody: sound.id }),
  midi: ({ drums }) => make("midi", { sound: sound.id, drums: drums !== undefined }),
  split: () => make("split", { sound: sound.id, two: at("two").value || null }),
};
for (const button of document.querySelectorAll("[data-use]")) {
  button.onclick = attempt(() => uses[button.dataset.use](button.dataset));
}

// ── Listening while it is made ──────────────────────────────────────────────────────────────────

let live = null; // what plays
let last = null; // what played last

let frame = 0; // the one that is asked for; one at a time
function watch() {
  cancelAnimationFrame(frame);
  if (!live) return;
  spectrum(at("spectrum"), live.analyser);
  at("live-time").value = clock(live.time);
  frame = requestAnimationFrame(watch);
}

/** What it was can still be saved when it is over. */
function showLive(playing) {
  at("live").hidden = false;
  at("live-title").textContent = playing ? "Playing" : "Played";
  at("stop").textContent = playing ? "■ Stop" : "✕ Close";
  at("steering").hidden = !playing;
}

at("listen").onclick = attempt(() => {
  const wish = options();
  live?.stop();
  hush();
  showLive(true);
  at("live-prompt").textContent = wish.prompt;
  at("live-seed").textContent = "";
  at("heard").disabled = at("keep").disabled = true;
  for (const name of ["guidance", "temperature"]) {
    const range = at(`live-${name}`);
    range.value = wish[name];
    range.dispatchEvent(new Event("input"));
  }
  const made = new Live({ ...wish, buffer: BUFFER }, {
    begun: (seed) => {
      at("live-seed").textContent = `seed ${seed}`;
      at("heard").disabled = at("keep").disabled = false;
      at("keep").onclick = attempt(() => {
        const duration = Math.max(1, Math.min(WINDOW, Math.ceil(made.time)));
        const format = take.elements.format.value;
        return make("generate", { ...wish, seed, duration, best_of: 1, in_time: false, in_key: false, format });
      });
    },
    steered: (turn) => {
      if (turn.prompt) at("live-prompt").textContent = turn.prompt;
    },
    refused: (message) => trouble(new Problem(message)),
    ended: (problem) => {
      if (live !== made) return;
      live = null;
      showLive(false);
      at("live").hidden = !made.heard;
      if (problem) trouble(problem);
    },
  });
  live = last = made;
  watch();
  at("live").scrollIntoView({ behavior: "smooth", block: "nearest" });
});

at("stop").onclick = () => {
  if (live) return live.stop();
  at("live").hidden = true;
  at("listen").focus();
};
at("heard").onclick = attempt(() => save(last.recording(), `heard-${at("live-seed").textContent.replace(" ", "-")}.wav`));
at("steer").onsubmit = attempt(() => {
  live?.steer({ prompt: at("turn").value.trim(), over: Number(at("over").value) });
  at("turn").value = "";
});
for (const name of ["guidance", "temperature"]) {
  at(`live-${name}`).onchange = ({ target }) => live?.steer({ [name]: Number(target.value) });
}

// ── Again ───────────────────────────────────────────────────────────────────────────────────────

const FORMS = { generate: "take", band: "band", loop: "loop" };
// In which file it stands how things turned out, and what of that makes the same again: of several
// takes, the one that was kept.
const DECIDED = {
  generate: [
    "music.json",
    ({ sampling, in_time, in_key }, asked) => ({
      seed: sampling.seed,
      best_of: null,
      in_time: asked.in_time ?? in_time,
      in_key: asked.in_key ?? in_key,
    }),
  ],
  band: ["session.json", ({ seed }) => ({ seed })],
};

/** What was asked for, with what was left open as it turned out. */
async function asMade({ id, kind, request }) {
  if (!DECIDED[kind]) return request;
  const [file, decisions] = DECIDED[kind];
  const made = await get(`/v1/jobs/${id}/files/${file}`).catch(() => null);
  return made ? { ...request, ...decisions(made, request) } : request;
}

/** Fill in the form so that it makes the same. */
async function again(job) {
  const form = at(FORMS[job.kind]);
  const request = await asMade(job);
  const source = request.beginning ?? request.melody;
  before[form.id] = request;
  at("as-before").hidden = false;
  choose(at(source ? "tab-file" : `tab-${form.id}`));
  prompt.value = request.prompt;
  if (request.tracks) offerTracks([...new Set([...request.tracks, ...INSTRUMENTS])], request.tracks);
  for (const [name, value] of Object.entries(request)) {
    const field = form.elements[name];
    if (!field) continue;
    if (field.type === "range") Object.assign(field, { step: "any", max: Math.max(field.max, value) });
    if (field.type === "checkbox") field.checked = value;
    else field.value = value ?? "";
    field.dispatchEvent(new Event("input"));
  }
  if (take.elements.seed.value) at("more").open = true;
  prompt.scrollIntoView({ behavior: "smooth", block: "center" });
  prompt.focus({ preventScroll: true });
  if (source) await reuse(source);
}

function goOn(made, job) {
  uploaded(made);
  if (job.request.prompt) prompt.value = job.request.prompt;
  choose(tabs[3]);
  at("uses").querySelector("button").focus();
}

const pieces = new Pieces(at("pieces"), at("none"), at("older"), { again, goOn, trouble, playing: () => live?.stop() });
begin().catch((error) => {
  const first = error.status === 401 && !key(); // then it is enough to be asked for one
  if (!first) trouble(error);
});
