// Several sounds played together from the same moment, each with level, pan, mute and solo.

export class Mixer {
  /** `tracks`: `{name, buffer}`, all of the same piece, which `repeats` if it is a loop. */
  constructor(context, tracks, repeats, changed) {
    this.context = context;
    this.repeats = repeats;
    this.changed = changed;
    this.tracks = tracks.map(({ name, buffer }) => {
      const gain = new GainNode(context);
      const pan = new StereoPannerNode(context);
      gain.connect(pan).connect(context.destination);
      return { name, buffer, gain, pan, level: 1, place: 0, muted: false, solo: false };
    });
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
    this.sources = this.tracks.map(({ buffer, gain }) => {
      const source = new AudioBufferSourceNode(this.context, { buffer, loop: this.repeats });
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

  /** Set `level` (0 to 1.5), `place` (-1 to 1), `muted` or `solo` of a track; heard at once. */
  set(track, name, value) {
    track[name] = value;
    track.pan.pan.setTargetAtTime(track.place, this.context.currentTime, 0.01);
    for (const one of this.tracks) one.gain.gain.setTargetAtTime(this.#heard(one), this.context.currentTime, 0.01);
  }

  /** What it plays as the faders stand, as one AudioBuffer. */
  render() {
    const { sampleRate } = this.context;
    const offline = new OfflineAudioContext(2, Math.ceil(this.duration * sampleRate), sampleRate);
    for (const track of this.tracks) {
      const source = new AudioBufferSourceNode(offline, { buffer: track.buffer });
      const gain = new GainNode(offline, { gain: this.#heard(track) });
      const pan = new StereoPannerNode(offline, { pan: track.place });
      source.connect(gain).connect(pan).connect(offline.destination);
      source.start();
    }
    return offline.startRendering();
  }

  /** How loud a track is heard. */
  #heard(track) {
    const silent = track.muted || (!track.solo && this.tracks.some(({ solo }) => solo));
    return silent ? 0 : track.level;
  }

  #halt(at) {
    const ending = this.sources;
    this.sources = [];
    for (const source of ending) source.stop();
    this.at = at;
    this.changed();
  }
}
