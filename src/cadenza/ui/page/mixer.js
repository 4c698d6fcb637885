// Several sounds played together from the same moment, each with level, pan, mute and solo.

export class Mixer {
  /** `tracks`: `{name, buffer}`, all of the same piece. */
  constructor(context, tracks, changed) {
    this.context = context;
    this.changed = changed;
    this.tracks = tracks.map(({ name, buffer }) => {
      const gain = new GainNode(context);
      const pan = new StereoPannerNode(context);
      gain.connect(pan).connect(context.destination);
      return { name, buffer, gain, pan, level: 1, muted: false, solo: false };
    });
    this.duration = Math.max(...tracks.map(({ buffer }) => buffer.duration));
    this.at = 0; // seconds, while it is not playing
    this.sources = [];
  }

  get playing() {
    return this.sources.length > 0;
  }

  get time() {
    return this.playing ? Math.min(this.duration, this.context.currentTime - this.begun) : this.at;
  }

  play() {
    if (this.playing) return;
    this.context.resume();
    if (this.at >= this.duration) this.at = 0;
    const when = this.context.currentTime + 0.03;
    this.begun = when - this.at;
    this.sources = this.tracks.map(({ buffer, gain }) => {
      const source = new AudioBufferSourceNode(this.context, { buffer });
      source.connect(gain);
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

  /** Set `level` (0 to 1.5), `pan` (-1 to 1), `muted` or `solo` of a track; heard at once. */
  set(track, name, value) {
    if (name === "pan") track.pan.pan.setTargetAtTime(value, this.context.currentTime, 0.01);
    else track[name] = value;
    const anySolo = this.tracks.some(({ solo }) => solo);
    for (const one of this.tracks) {
      const silent = one.muted || (anySolo && !one.solo);
      one.gain.gain.setTargetAtTime(silent ? 0 : one.level, this.context.currentTime, 0.01);
    }
  }

  #halt(at) {
    const ending = this.sources;
    this.sources = [];
    for (const source of ending) source.stop();
    this.at = at;
    this.changed();
  }
}
