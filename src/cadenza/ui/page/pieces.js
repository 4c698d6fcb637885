// The list of what was made: progress, pictures, playing, mixing, downloads.

import { Problem, ask, cancel, get, isOver, submit, upload } from "./api.js";
import { Mixer } from "./mixer.js";
import { peaks, pianoRoll, spectrogram, waveform } from "./picture.js";
import { bounced, save } from "./saving.js";

const SOUND = /\.(wav|flac|mp3|ogg|opus)$/;
const PAGE = 20;
const LOOK = 500; // milliseconds between two looks at what is being made
const LONGEST_LOOK = 5000; // while the server does not answer
const NAMES = { generate: "piece", band: "band", mix: "another mix", loop: "loops", midi: "notes", split: "stems" };
const kindOf = ({ kind, request }) => (kind === "remake" ? `${request.track} again` : NAMES[kind] ?? kind);
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
    Object.assign(this, { list, none, older });
    this.use = {
      ...use,
      keep: (kind, request) => this.#keep(kind, request),
      make: async (kind, request) => this.add(await submit(kind, request)),
    };
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

  /** Ask for something while another piece is looked at; the job when it is done. */
  async #keep(kind, request) {
    const piece = this.#piece(await submit(kind, request), false);
    this.list.prepend(piece.item);
    const job = await piece.over;
    if (job.state === "done") return job;
    throw new Problem(job.error?.message ?? "It was cancelled.");
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
    let lost = false;
    for (let pause = LOOK; this.making.size; ) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      try {
        await this.#look();
        pause = LOOK;
        if (lost) this.use.trouble(null);
        lost = false;
      } catch (error) {
        if (!(error instanceof Problem) || error.status === 401) {
          this.making.clear();
          this.watching = false;
          throw error;
        }
        if (!lost) this.use.trouble(error);
        lost = true;
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

const fileOf = (job, name) => job.files.find((file) => file.name === name);

/** The job whose session this one worked on. */
const bandOf = (job) => get(`/v1/jobs/${job.request.job}`).catch(ifThere);

/** What a job without a prompt was made of, in its owner's words. */
async function nameOf(job) {
  const { prompt, job: before, sound } = job.request;
  if (prompt) return prompt;
  if (before) {
    const band = await bandOf(job);
    return band && nameOf(band);
  }
  return sound && (await get(`/v1/uploads/${sound}`).catch(ifThere))?.name;
}

/** How the tracks of a session are mixed, by name. */
async function stripsOf(job) {
  const file = fileOf(job, "session.json");
  const { tracks } = file ? await get(file.url) : { tracks: [] };
  return Object.fromEntries(tracks.map(({ name, strip }) => [name, strip]));
}

const IDS = new Set(["job", "sound", "melody", "beginning"]); // in requests; they tell nobody anything
const FADERS = ["gain", "pan", "mute", "solo"];

/** Whether two mixes differ in what the page can play. */
const differInFaders = (one, other) =>
  Object.entries(one).every(([name, strip]) =>
    Object.keys(strip).every((setting) => FADERS.includes(setting) || strip[setting] === other[name]?.[setting]),
  );

/** The settings of a mixer in words. */
const mixed = (strips) =>
  Object.entries(strips)
    .map(([name, { gain, pan, mute, solo }]) => [name, `${gain} dB`, pan && `pan ${pan}`, mute && "muted", solo && "solo"])
    .map((words) => words.filter(Boolean).join(" "))
    .join(", ");

// What else than a word or a number stands in a request.
const IN_WORDS = {
  strips: mixed,
  prompts: (own) => Object.entries(own).map(([track, words]) => `${track} “${words}”`).join(", "),
};

/** Why a take was chosen among others: what was heard in each that was played to its end, the best first. */
const ranking = (takes, played) =>
  element(
    "details",
    {},
    element("summary", { textContent: `Chosen among ${played === takes.length ? `${played} takes` : `the ${takes.length} takes that began best`}` }),
    element(
      "ol",
      {},
      ...takes.map(({ seed, total, heard, faults }) => {
        const out = faults.length ? `, at fault: ${faults.join("; ")}` : "";
        return element("li", { textContent: `Seed ${seed}: score ${Math.round(total)}, ${heard}${out}` });
      }),
    ),
  );

class Piece {
  constructor(job, use, fresh) {
    this.use = use;
    this.fresh = fresh;
    this.over = new Promise((tell) => (this.tellOver = tell));
    this.title = element("h3", { textContent: job.request.prompt ?? kindOf(job) });
    // Read aloud when it changes, without the per cent in between, which do so twice a second.
    [this.word, this.fault] = [element("span"), element("span")];
    for (const told of [this.word, this.fault]) told.setAttribute("role", "status");
    this.rest = element("span");
    this.state = element("p", {}, this.word, this.rest, this.fault);
    this.bar = element("progress", { max: 1 });
    this.bar.setAttribute("aria-label", "Progress");
    this.buttons = element("div", { className: "row" });
    this.stage = element("div");
    this.item = element("li", { id: `job-${job.id}` }, this.title, this.state, this.bar, this.stage, this.buttons);
    this.show(job);
    if (!job.request.prompt) this.try(async () => (this.title.textContent = (await nameOf(job)) ?? kindOf(job)));
  }

  show(job) {
    const other = job.state !== this.job?.state;
    this.job = job;
    const made = new Date(job.created).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const again = job.attempt > 1 ? ", begun again" : "";
    const doing = job.doing ? ` · ${job.doing}` : "";
    const share = job.state === "running" ? `${again}, ${Math.floor(100 * job.progress)} %${doing}` : "";
    if (other) this.word.textContent = STATES[job.state];
    this.rest.textContent = `${share} · ${kindOf(job)} · ${made}`;
    this.state.className = `state ${job.state}`;
    this.bar.hidden = isOver(job);
    if (job.state === "running") this.bar.value = job.progress;
    else this.bar.removeAttribute("value");
    if (job.error && other) this.fault.textContent = ` · ${job.error.message}`;
    if (isOver(job)) this.tellOver(job);
    if (other) this.offer(); // else its buttons stay, one of which may have the focus
  }

  offer() {
    const { job } = this;
    const focused = this.buttons.contains(document.activeElement);
    this.arrange(job);
    if (focused) (this.stage.querySelector("button") ?? this.buttons.querySelector("button, summary"))?.focus();
  }

  arrange(job) {
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
    const whole = fileOf(job, "mix.wav") ?? (sounds.length === 1 && sounds[0]);
    if (whole) this.buttons.append(button("Go on from here", () => this.goOn(whole)));
    const files = job.files.map((file) => button(`↓ ${file.name}`, () => this.download(file)));
    const recipe = Object.entries(job.request)
      .filter(([name, value]) => value !== null && value !== false && !IDS.has(name))
      .map(([name, value]) => `${name}: ${IN_WORDS[name]?.(value) ?? value}`);
    const asMade = "These are as they were made. To get the mix that you set, save it above.";
    this.buttons.append(
      element(
        "details",
        {},
        element("summary", { textContent: files.length ? "Files and recipe" : "Recipe" }),
        element("p", { className: "hint", textContent: recipe.join(" · ") }),
        ...(fileOf(job, "session.zip") ? [element("p", { className: "hint", textContent: asMade })] : []),
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
    const notes = fileOf(this.job, "notes.json");
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
    const source = this.job.kind === "mix" ? await bandOf(this.job) : this.job;
    const [strips, set] = await Promise.all([source ?? this.job, this.job].map(stripsOf));
    const stems = differInFaders(strips, set) ? (source ?? this.job).files.filter(({ name }) => name.startsWith("stem-")) : [];
    const chosen = stems.length ? stems : this.job.files.filter(({ name }) => SOUND.test(name));
    const buffers = await Promise.all(
      chosen.map(async ({ url }) => context.decodeAudioData(await (await ask(url)).arrayBuffer())),
    );
    const named = chosen.map((file, n) => {
      const name = file.name.replace(/^stem-|\.\w+$/g, "").replace(/^no_/, "without ");
      return { name, buffer: buffers[n], strip: strips[name], set: set[name] };
    });
    if (this.job.kind === "loop") named.forEach((one) => this.stage.append(...this.player([one], true)));
    else this.stage.append(...this.player(named, false, stems.length && fileOf(source, "session.zip") && source));
    const auditions = fileOf(this.job, "auditions.json");
    if (auditions) this.stage.append(ranking(await get(auditions.url), this.job.request.best_of));
    this.offer();
    for (const draw of this.drawings.splice(0)) draw();
  }

  drawings = [];

  /** Controls and pictures of sounds that are played together, over and over if it `repeats`; with
   * a mixer where there are several, whose settings go into a session, and each of which can be played again, if they are a `band`'s. */
  player(tracks, repeats, band) {
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
    let frame = 0; // the one that is asked for; one at a time
    const draw = () => {
      cancelAnimationFrame(frame);
      const { time: now, duration, playing } = mixer;
      waveform(wave, values, now / duration);
      time.textContent = `${clock(now)} / ${clock(duration)}`;
      wave.setAttribute("aria-valuemax", Math.round(duration));
      wave.setAttribute("aria-valuenow", Math.round(now));
      if (playing) frame = requestAnimationFrame(draw);
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
    if (repeats) controls.append(element("span", { className: "hint", textContent: tracks[0].name.replace("-", " ") }));
    if (tracks.length === 1) return [controls, wave, picture];
    const saving = (text, action) => {
      const button = element("button", { type: "button", textContent: text });
      button.onclick = () => {
        Object.assign(button, { disabled: true, textContent: "Mixing…" });
        this.try(() =>
          action().finally(() => {
            Object.assign(button, { disabled: false, textContent: text });
            if (document.activeElement === document.body) button.focus(); // where it was
          }),
        );
      };
      controls.append(button);
    };
    saving("↓ Save this mix", async () => save(bounced(await mixer.render()), "my-mix.wav"));
    const rows = mixer.tracks.map((track) => strip(mixer, track));
    if (band) {
      mixer.tracks.forEach((track, n) => rows[n].append(this.anotherTake(track)));
      let kept = { job: this.job, settings: JSON.stringify(mixer.strips) };
      saving("↓ Save as session", async () => {
        const [strips, settings] = [mixer.strips, JSON.stringify(mixer.strips)];
        if (settings !== kept.settings) kept = { job: await this.use.keep("mix", { job: band.id, strips }), settings };
        await this.download(fileOf(kept.job, "session.zip"));
      });
    }
    return [controls, wave, element("div", { className: "mixer" }, ...rows), picture];
  }

  /** A button that lets a track be played again, for a piece of its own; the others stay. */
  anotherTake(track) {
    const button = element("button", { type: "button", textContent: "↻", title: "Another take" });
    button.setAttribute("aria-label", `Another take of ${track.name}`);
    button.onclick = () => this.try(() => this.use.make("remake", { job: this.job.id, track: track.name }));
    return button;
  }

  async goOn(source) {
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
  const slider = (text, name, range, said) => {
    const input = element("input", { type: "range", ...range, value: track[name] });
    const told = element("output");
    const tell = () => input.setAttribute("aria-valuetext", (told.value = said(Number(input.value))));
    input.setAttribute("aria-label", `${text} of ${track.name}`);
    input.oninput = () => {
      mixer.set(track, name, Number(input.value));
      tell();
    };
    tell();
    return element("label", {}, element("span", { textContent: text }), told, input);
  };
  const toggle = (text, label, name) => {
    const button = element("button", { type: "button", textContent: text, title: label });
    button.setAttribute("aria-label", `${label} ${track.name}`);
    button.setAttribute("aria-pressed", String(track[name]));
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
    slider("Level", "level", { min: -40, max: 12, step: 0.5 }, (dB) => `${dB > 0 ? "+" : ""}${dB} dB`),
    slider("Pan", "pan", { min: -1, max: 1, step: 0.05 }, (pan) => (pan ? `${Math.round(100 * Math.abs(pan))} % ${pan < 0 ? "left" : "right"}` : "middle")),
    toggle("M", "Mute", "mute"),
    toggle("S", "Solo", "solo"),
  );
}
