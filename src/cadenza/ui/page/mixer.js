// Several sounds played together from the same moment, each with level, pan, mute and solo, which
// mean what they mean in a session: decibels, and panning that keeps the power.

const SIDES = [0, 1];
const [QUIETEST, LOUDEST] = [-60, 40]; // decibels that a strip can give
const FLAT = { gain: 0, pan: 0, mute: false, solo: false };

/** What panning makes of the left and the right side. */
function sides(pan) {
  const angle = ((pan + 1) * Math.PI) / 4;
  return [Math.SQRT2 * Math.cos(angle), Math.SQRT2 * Math.sin(angle)];
}

export class Mixer {
  /** `tracks`: `{name, buffer, strip}`, all of the same piece, which `repeats` if it is a loop; the
   * strip is how it stands in its session, if it has one, and `set` where its faders begin. */
  constructor(context, tracks, repeats, changed) {
    this.context = context;
    this.repeats = repeats;
    this.changed = changed;
    this.tracks = tracks.map(({ name, buffer, strip = FLAT, set = strip }) => {
      const { pan, mute, solo } = set;
      const level = Math.round(100 * (set.gain - strip.gain)) / 100;
      return { name, buffer, strip, level, pan, mute, solo };
    });
    for (const track of this.tracks) track.desk = this.#desk(context, track);
    this.duration = Math.max(...tracks.map(({ buffer }) => buffer.duration));
    this.at = 0; // seconds, while it is not playing
    this.sources = [];
  }

  get playing() {
    return this.sources.length > 0;
  }

  get time() {
    if (!this.playing) return this.at;
    const played = this.context.currentTime - this.begun;
    return this.repeats ? Math.max(0, played) % this.duration : Math.min(this.duration, played);
  }

  play() {
    if (this.playing) return;
    this.context.resume();
    if (this.at >= this.duration) this.at = 0;
    const when = this.context.currentTime + 0.03;
    this.begun = when - this.at;
    this.sources = this.tracks.map(({ buffer, desk }) => {
      const source = new AudioBufferSourceNode(this.context, { buffer, loop: this.repeats });
      source.connect(desk.input);
      source.start(when, Math.min(this.at, buffer.duration));
      return source;
    });
    const last = this.sources[this.tracks.findIndex(({ buffer }) => buffer.duration === this.duration)];
    last.onended = () => {
      if (this.sources.includes(last)) this.#halt(this.duration);
    };
    this.changed();
  }

  pause() {
    if (this.playing) this.#halt(this.time);
  }

  seek(seconds) {
    const goesOn = this.playing;
    this.#halt(Math.max(0, Math.min(this.duration, seconds)));
    if (goesOn) this.play();
  }

  /** Set `level` (decibels), `pan` (-1 to 1), `mute` or `solo` of a track; heard at once. */
  set(track, name, value) {
    track[name] = value;
    for (const one of this.tracks) {
      const heard = this.#heard(one);
      for (const side of SIDES) one.desk.gains[side].gain.setTargetAtTime(heard[side], this.context.currentTime, 0.01);
    }
  }

  /** The strips of a session that sounds like this, by track. */
  get strips() {
    const settings = this.tracks.map(({ name, strip, level, pan, mute, solo }) => {
      const gain = Math.max(QUIETEST, Math.min(LOUDEST, Math.round(100 * (strip.gain + level)) / 100));
      return [name, { ...strip, gain, pan, mute, solo }];
    });
    return Object.fromEntries(settings);
  }

  /** What it plays as the faders stand, as one AudioBuffer. */
  render() {
    const { sampleRate } = this.context;
    const offline = new OfflineAudioContext(2, Math.ceil(this.duration * sampleRate), sampleRate);
    for (const track of this.tracks) {
      const source = new AudioBufferSourceNode(offline, { buffer: track.buffer });
      source.connect(this.#desk(offline, track).input);
      source.start();
    }
    return offline.startRendering();
  }

  /** How loud the two sides of a track are heard; its sound has been panned once already. */
  #heard(track) {
    const silent = track.mute || (!track.solo && this.tracks.some(({ solo }) => solo));
    const level = silent ? 0 : 10 ** (track.level / 20);
    const [was, now] = [sides(track.strip.pan), sides(track.pan)];
    return SIDES.map((side) => level * (now[side] / Math.max(was[side], 1e-3)));
  }

  /** The way of a track to the speakers: a gain for each of its sides. */
  #desk(context, track) {
    const input = new GainNode(context, { channelCount: 2, channelCountMode: "explicit" });
    const apart = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
    const together = new ChannelMergerNode(context, { numberOfInputs: 2 });
    const heard = this.#heard(track);
    const gains = SIDES.map((side) => {
      const gain = new GainNode(context, { gain: heard[side] });
      apart.connect(gain, side).connect(together, 0, side);
      return gain;
    });
    input.connect(apart);
    together.connect(context.destination);
    return { input, gains };
  }

  #halt(at) {
    const ending = this.sources;
    this.sources = [];
    for (const source of ending) source.stop();
    this.at = at;
    this.changed();
  }
}
