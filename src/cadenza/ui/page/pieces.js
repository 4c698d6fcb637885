// The list of what was made: progress, pictures, playing, mixing, downloads.

import { Problem, ask, cancel, get, isOver, upload } from "./api.js";
import { Mixer } from "./mixer.js";
import { peaks, pianoRoll, spectrogram, waveform } from "./picture.js";
import { bounced, save } from "./saving.js";

const SOUND = /\.(wav|flac|mp3|ogg|opus)$/;
const PAGE = 20;
const LOOK = 500; // milliseconds between two looks at what is being made
const LONGEST_LOOK = 15000; // while the server does not answer
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

export const hush = () => sounding?.pause();

/** `use` has again(job), goOn(upload), playing() and trouble(error). */
export class Pieces {
  constructor(list, none, older, use) {
    Object.assign(this, { list, none, older, use });
    this.making = new Set(); // pieces that are not over
    older.onclick = () => this.load().catch(use.trouble);
  }

  begin() {
    this.last = null;
    this.making.clear();
    this.list.replaceChildren();
    return this.load();
  }

  async load() {
    const jobs = await get(`/v1/jobs?limit=${PAGE}${this.last ? `&before=${this.last}` : ""}`);
    for (const job of jobs) this.list.append(this.#piece(job, false).item);
    this.last = jobs.at(-1)?.id ?? this.last;
    this.older.hidden = jobs.length < PAGE;
    this.none.hidden = this.list.children.length > 0;
  }

  add(job) {
    const piece = this.#piece(job, true);
    this.list.prepend(piece.item);
    this.none.hidden = true;
    piece.item.scrollIntoView({ behavior: "smooth", block: "nearest" });
  }

  #piece(job, fresh) {
    const piece = new Piece(job, this.use, fresh);
    if (!isOver(job)) {
      this.making.add(piece);
      if (!this.watching) this.#watch().catch(this.use.trouble);
    }
    return piece;
  }

  /** Show how far all of them are, with one request for all: a browser has few connections to a
   * server, and as many jobs followed one by one would leave none for anything else. */
  async #watch() {
    this.watching = true;
    for (let pause = LOOK; this.making.size; ) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      try {
        await this.#look();
        pause = LOOK;
      } catch (error) {
        if (!(error instanceof Problem) || error.status === 401) {
          this.making.clear();
          this.watching = false;
          throw error;
        }
        pause = Math.min(2 * pause, LONGEST_LOOK);
      }
    }
    this.watching = false;
  }

  async #look() {
    const open = await get("/v1/jobs?state=queued&state=running&limit=100");
    for (const piece of this.making) {
      const { id } = piece.job;
      const now = open.find((job) => job.id === id) ?? (await get(`/v1/jobs/${id}`).catch(ifThere));
      if (now) piece.show(now);
      if (!now || isOver(now)) this.making.delete(piece);
    }
  }
}

/** What has expired meanwhile is nothing to worry about. */
function ifThere(error) {
  if (error.status !== 404) throw error;
}

class Piece {
  constructor(job, use, fresh) {
    this.use = use;
    this.fresh = fresh;
    this.title = element("h3", { textContent: job.request.prompt ?? NAMES[job.kind] });
    this.state = element("p", { className: "state" });
    this.state.setAttribute("role", "status");
    this.bar = element("progress", { max: 1 });
    this.bar.setAttribute("aria-label", "Progress");
    this.buttons = element("div", { className: "row" });
    this.stage = element("div");
    this.item = element("li", { id: `job-${job.id}` }, this.title, this.state, this.bar, this.stage, this.buttons);
    this.show(job);
  }

  show(job) {
    const other = job.state !== this.job?.state;
    this.job = job;
    const made = new Date(job.created).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const share = job.state === "running" ? `, ${Math.round(100 * job.progress)} %` : "";
    this.state.textContent = `${STATES[job.state]}${share} · ${NAMES[job.kind] ?? job.kind} · ${made}`;
    this.state.className = `state ${job.state}`;
    this.bar.hidden = isOver(job);
    if (job.state === "running") this.bar.value = job.progress;
    else this.bar.removeAttribute("value");
    if (job.error) this.state.textContent += ` · ${job.error.message}`;
    if (other) this.offer(); // else its buttons stay, one of which may have the focus
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
    if (job.request.prompt) this.buttons.append(button("Again with changes", () => this.use.again(job)));
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
    this.opening ??= this.fill().catch((error) => {
      this.opening = null;
      throw error;
    });
    await this.opening;
    if (play) this.stage.querySelector("button")?.click();
  }

  async fill() {
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
    if (this.job.kind === "loop") named.forEach((one) => this.stage.append(...this.player([one], true)));
    else this.stage.append(...this.player(named, false));
    this.offer();
    for (const draw of this.drawings.splice(0)) draw();
  }

  drawings = [];

  /** Controls and pictures of sounds that are played together, over and over if it `repeats`. */
  player(tracks, repeats) {
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
    const mixer = new Mixer(context, tracks, repeats, () => {
      button.textContent = mixer.playing ? "❚❚ Pause" : "▶ Play";
      draw();
    });
    button.textContent = "▶ Play";
    button.onclick = () => {
      if (mixer.playing) return mixer.pause();
      hush();
      this.use.playing();
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
    this.drawings.push(draw, () => spectrogram(picture, tracks.map(({ buffer }) => buffer)));
    const controls = element("div", { className: "row" }, button, time);
    if (tracks.length === 1) return [controls, wave, picture];
    const keep = async () => save(bounced(await mixer.render()), "my-mix.wav");
    controls.append(element("button", { type: "button", textContent: "↓ Save this mix", onclick: () => this.try(keep) }));
    return [controls, wave, element("div", { className: "mixer" }, ...mixer.tracks.map((track) => strip(mixer, track))), picture];
  }

  async goOn(sounds) {
    const source = sounds.find(({ name }) => name === "mix.wav") ?? sounds[0];
    const sound = await (await ask(source.url)).blob();
    this.use.goOn(await upload(sound, source.name), this.job);
  }

  /** With the key in a header, which a link cannot send. */
  async download(file) {
    save(await (await ask(file.url)).blob(), file.name);
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
    slider("pan", "place", -1, 1, 0),
    toggle("M", "Mute", "muted"),
    toggle("S", "Solo", "solo"),
  );
}
