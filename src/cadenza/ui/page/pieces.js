// The list of what was made: progress, pictures, playing, mixing, downloads.

import { ask, cancel, follow, get, isOver, upload } from "./api.js";
import { Mixer } from "./mixer.js";
import { peaks, pianoRoll, spectrogram, waveform } from "./picture.js";

const SOUND = /\.(wav|flac|mp3|ogg|opus)$/;
const PAGE = 20;
const NAMES = { generate: "piece", band: "band", loop: "loops", midi: "notes", split: "stems" };
const STATES = { queued: "waiting", running: "being made", done: "done", failed: "did not work", cancelled: "cancelled" };

export const clock = (seconds) =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

let context = null;
let sounding = null; // the mixer that plays

/** `use` has again(job), goOn(upload) and trouble(error). */
export class Pieces {
  constructor(list, none, older, use) {
    Object.assign(this, { list, none, older, use });
    this.last = null;
    older.onclick = () => this.load();
  }

  async load() {
    const jobs = await get(`/v1/jobs?limit=${PAGE}${this.last ? `&before=${this.last}` : ""}`);
    for (const job of jobs) this.list.append(new Piece(job, this).item);
    this.last = jobs.at(-1)?.id ?? this.last;
    this.older.hidden = jobs.length < PAGE;
    this.none.hidden = this.list.children.length > 0;
  }

  add(job) {
    const piece = new Piece(job, this, true);
    this.list.prepend(piece.item);
    this.none.hidden = true;
    piece.item.scrollIntoView({ behavior: "smooth", block: "nearest" });
  }
}

class Piece {
  constructor(job, pieces, fresh = false) {
    this.use = pieces.use;
    this.fresh = fresh;
    this.title = element("h3", { textContent: job.request.prompt ?? NAMES[job.kind] });
    this.state = element("p", { className: "state" });
    this.state.setAttribute("role", "status");
    this.bar = element("progress", { max: 1 });
    this.bar.setAttribute("aria-label", "Progress");
    this.buttons = element("div", { className: "row" });
    this.stage = element("div");
    this.item = element("li", {}, this.title, this.state, this.bar, this.stage, this.buttons);
    this.show(job);
    if (!isOver(job)) follow(job.id, (now) => this.show(now)).catch(this.use.trouble);
  }

  show(job) {
    this.job = job;
    const made = new Date(job.created).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const share = job.state === "running" ? `, ${Math.round(100 * job.progress)} %` : "";
    this.state.textContent = `${STATES[job.state]}${share} · ${NAMES[job.kind] ?? job.kind} · ${made}`;
    this.state.className = `state ${job.state}`;
    this.bar.hidden = isOver(job);
    if (job.state === "running") this.bar.value = job.progress;
    else this.bar.removeAttribute("value");
    if (job.error) this.state.textContent += ` · ${job.error.message}`;
    this.offer();
  }

  offer() {
    const { job } = this;
    const button = (text, action, name = "") =>
      element("button", { type: "button", textContent: text, className: name, onclick: () => this.try(action) });
    this.buttons.replaceChildren();
    if (!isOver(job)) {
      this.buttons.append(button("Cancel", () => cancel(job.id)));
      return;
    }
    const sounds = job.files.filter(({ name }) => SOUND.test(name));
    if (job.state === "done") {
      const open = button(sounds.length ? "▶ Play" : "Show", () => this.open(true), "primary");
      if (!this.stage.children.length) this.buttons.append(open);
      if (this.fresh) this.open(false).catch(this.use.trouble);
    }
    this.buttons.append(button(job.kind === "generate" ? "Again with changes" : "Again", () => this.use.again(job)));
    if (sounds.length) this.buttons.append(button("Go on from here", () => this.goOn(sounds)));
    const files = job.files.map((file) => button(`↓ ${file.name}`, () => this.download(file)));
    const recipe = Object.entries(job.request).filter(([, value]) => value !== null && value !== false);
    this.buttons.append(
      element(
        "details",
        {},
        element("summary", { textContent: files.length ? "Files and recipe" : "Recipe" }),
        element("p", { className: "hint", textContent: recipe.map((pair) => pair.join(": ")).join(" · ") }),
        element("div", { className: "row" }, ...files),
      ),
    );
  }

  try(action) {
    Promise.resolve().then(action).catch(this.use.trouble);
  }

  /** Fetch the sounds, draw them, and play them if that was asked for. */
  async open(play) {
    this.fresh = false;
    if (this.stage.children.length) return;
    const notes = this.job.files.find(({ name }) => name === "notes.json");
    if (notes) {
      const canvas = element("canvas", { className: "tall" });
      canvas.setAttribute("role", "img");
      const found = await get(notes.url);
      canvas.setAttribute("aria-label", `Piano roll of ${found.notes.length} notes`);
      this.stage.append(canvas, element("p", { className: "hint", textContent: `${found.notes.length} ${found.notes.length === 1 ? "note" : "notes"}, ${found.tempo.toFixed(1)} beats a minute` }));
      pianoRoll(canvas, found.notes);
      this.offer();
      return;
    }
    context ??= new AudioContext();
    const all = this.job.files.filter(({ name }) => SOUND.test(name));
    const stems = all.filter(({ name }) => name.startsWith("stem-"));
    const chosen = stems.length ? stems : all;
    const buffers = await Promise.all(
      chosen.map(async ({ url }) => context.decodeAudioData(await (await ask(url)).arrayBuffer())),
    );
    const named = chosen.map(({ name }, n) => ({ name: name.replace(/^stem-|\.\w+$/g, ""), buffer: buffers[n] }));
    if (this.job.kind === "loop") named.forEach((one) => this.stage.append(...this.player([one])));
    else this.stage.append(...this.player(named));
    this.offer();
    for (const draw of this.drawings.splice(0)) draw();
    if (play) this.stage.querySelector("button").click();
  }

  drawings = [];

  /** Controls and pictures of sounds that are played together. */
  player(tracks) {
    const button = element("button", { type: "button", className: "primary" });
    const time = element("output", { className: "time" });
    const wave = element("canvas", { className: "seek", tabIndex: 0 });
    const picture = element("canvas", { className: "tall" });
    wave.setAttribute("role", "slider");
    wave.setAttribute("aria-label", `Position in ${tracks.length > 1 ? "the mix" : tracks[0].name}`);
    wave.setAttribute("aria-valuemin", 0);
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", "Spectrogram: time to the right, pitch upwards");
    const values = peaks(tracks.map(({ buffer }) => buffer), 240);
    const draw = () => {
      const { time: now, duration, playing } = mixer;
      waveform(wave, values, now / duration);
      time.textContent = `${clock(now)} / ${clock(duration)}`;
      wave.setAttribute("aria-valuemax", Math.round(duration));
      wave.setAttribute("aria-valuenow", Math.round(now));
      if (playing) requestAnimationFrame(draw);
    };
    const mixer = new Mixer(context, tracks, () => {
      button.textContent = mixer.playing ? "❚❚ Pause" : "▶ Play";
      draw();
    });
    button.textContent = "▶ Play";
    button.onclick = () => {
      if (mixer.playing) return mixer.pause();
      sounding?.pause();
      sounding = mixer;
      mixer.play();
    };
    wave.onclick = (event) => mixer.seek((event.offsetX / wave.clientWidth) * mixer.duration);
    wave.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
      if (step) mixer.seek(mixer.time + step);
      else if (event.key === " ") button.click();
      else return;
      event.preventDefault();
    };
    this.drawings.push(draw, () => spectrogram(picture, tracks[0].buffer));
    const desk = tracks.length > 1 ? [element("div", { className: "mixer" }, ...mixer.tracks.map((track) => strip(mixer, track)))] : [];
    return [element("div", { className: "row" }, button, time), wave, ...desk, picture];
  }

  async goOn(sounds) {
    const source = sounds.find(({ name }) => name === "mix.wav") ?? sounds[0];
    const sound = await (await ask(source.url)).blob();
    this.use.goOn(await upload(sound, source.name), this.job);
  }

  /** With the key in a header, which a link cannot send. */
  async download(file) {
    const blob = await (await ask(file.url)).blob();
    const link = element("a", { href: URL.createObjectURL(blob), download: file.name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}

/** One track of the mixer. */
function strip(mixer, track) {
  const slider = (text, name, min, max, value) => {
    const input = element("input", { type: "range", min, max, step: 0.01, value });
    input.oninput = () => mixer.set(track, name, Number(input.value));
    return element("label", { textContent: text }, input);
  };
  const toggle = (text, label, name) => {
    const button = element("button", { type: "button", textContent: text, title: label });
    button.setAttribute("aria-label", `${label} ${track.name}`);
    button.setAttribute("aria-pressed", "false");
    button.onclick = () => {
      mixer.set(track, name, !track[name]);
      button.setAttribute("aria-pressed", String(track[name]));
    };
    return button;
  };
  return element(
    "div",
    { className: "track" },
    element("span", { className: "name", textContent: track.name }),
    slider("level", "level", 0, 1.5, 1),
    slider("pan", "pan", -1, 1, 0),
    toggle("M", "Mute", "muted"),
    toggle("S", "Solo", "solo"),
  );
}
