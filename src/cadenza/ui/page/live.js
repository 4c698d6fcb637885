// Music heard while it is made: a WebSocket brings samples, Web Audio plays them without a gap.

import { Problem, key } from "./api.js";
import { wav } from "./saving.js";

const LEAD = 0.15; // seconds from the first sound's arrival to its start
const KEPT = 600; // seconds that can be saved
const FINE = 1000; // how a WebSocket is closed that has done its work

export class Live {
  /** `on` has begun(seed), steered(wish), refused(message) and ended(problem). */
  constructor(wish, on) {
    this.context = new AudioContext();
    this.analyser = new AnalyserNode(this.context, { fftSize: 2048, smoothingTimeConstant: 0.75 });
    this.analyser.connect(this.context.destination);
    this.on = on;
    this.heard = 0; // seconds that were scheduled
    this.kept = []; // their samples
    this.next = 0; // when the next chunk begins, on the context's clock
    this.over = false;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/v1/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.#send(key() ? { ...wish, key: key() } : wish);
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.#told(JSON.parse(data)) : this.#play(data));
    this.socket.onclose = ({ code }) => this.#end(code);
  }

  /** Seconds that have been heard. */
  get time() {
    return Math.max(0, this.heard - Math.max(0, this.next - this.context.currentTime));
  }

  /** What has been heard as a WAV file, its first ten minutes at most. */
  recording() {
    const whole = new Int16Array(this.kept.reduce((sum, part) => sum + part.length, 0));
    let filled = 0;
    for (const part of this.kept) {
      whole.set(part, filled);
      filled += part.length;
    }
    return wav([whole.subarray(0, Math.floor(this.time * this.rate) * this.channels)], this.channels, this.rate);
  }

  steer(wish) {
    if (this.socket.readyState === WebSocket.OPEN) this.#send(wish);
  }

  stop() {
    this.over = true;
    this.socket.close();
    this.context.close();
    this.on.ended(null);
  }

  #send(wish) {
    this.socket.send(JSON.stringify(wish));
  }

  #told(said) {
    if (said.rate) {
      this.rate = said.rate;
      this.channels = said.channels;
      this.on.begun(said.seed);
    } else if (said.steered) {
      this.on.steered(said.steered);
    } else if (said.error) {
      this.problem = new Problem(said.error.message);
      if (this.rate) this.on.refused(said.error.message);
    }
  }

  #play(data) {
    this.problem = null; // it was no reason to end
    const pcm = new Int16Array(data);
    if (this.heard < KEPT) this.kept.push(pcm);
    const length = pcm.length / this.channels;
    const buffer = this.context.createBuffer(this.channels, length, this.rate);
    for (let channel = 0; channel < this.channels; channel++) {
      const samples = buffer.getChannelData(channel);
      for (let n = 0; n < length; n++) samples[n] = pcm[n * this.channels + channel] / 32768;
    }
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.analyser);
    const now = this.context.currentTime;
    if (this.next < now) this.next = now + LEAD; // the beginning, or the network was slow
    source.start(this.next);
    this.next += buffer.duration;
    this.heard += buffer.duration;
  }

  /** Once what has come is heard; whoever leaves without goodbye (`FINE`) was lost. */
  #end(code) {
    if (this.over) return;
    this.over = true;
    const left = Math.max(0, this.next - this.context.currentTime);
    const lost = this.rate ? "The music broke off: the server went away." : "The server cannot be reached.";
    const problem = code === FINE ? null : this.problem ?? new Problem(`${lost} Is it still running?`);
    setTimeout(() => {
      this.context.close();
      this.on.ended(problem);
    }, 1000 * left);
  }
}
