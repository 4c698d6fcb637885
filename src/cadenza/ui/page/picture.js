// What sound looks like, on a canvas. Every function draws all of it, at the canvas' own size.

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function prepared(canvas) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
  return canvas.getContext("2d");
}

/** The largest sample of each of `count` equal parts of several buffers together. */
export function peaks(buffers, count) {
  const found = new Float32Array(count);
  for (const buffer of buffers) {
    for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
      const samples = buffer.getChannelData(channel);
      const step = samples.length / count;
      for (let n = 0; n < count; n++) {
        const end = Math.min(samples.length, (n + 1) * step);
        for (let i = Math.floor(n * step); i < end; i++) found[n] = Math.max(found[n], Math.abs(samples[i]));
      }
    }
  }
  return found;
}

/** `share` of it has been played. */
export function waveform(canvas, values, share) {
  const context = prepared(canvas);
  const { width, height } = canvas;
  const bar = width / values.length;
  for (let n = 0; n < values.length; n++) {
    const tall = Math.max(1, Math.min(1, values[n]) * height * 0.94);
    context.fillStyle = n / values.length < share ? style("--accent") : style("--quiet");
    context.fillRect(n * bar, (height - tall) / 2, Math.max(1, bar * 0.7), tall);
  }
}

/** The spectrum of this moment, from an AnalyserNode. */
export function spectrum(canvas, analyser) {
  const context = prepared(canvas);
  const { width, height } = canvas;
  const levels = new Uint8Array(analyser.frequencyBinCount);
  analyser.getByteFrequencyData(levels);
  const bars = Math.min(96, Math.floor(width / 6));
  const top = Math.log(levels.length);
  context.fillStyle = style("--accent");
  for (let n = 0; n < bars; n++) {
    const first = Math.floor(Math.exp((n / bars) * top));
    const last = Math.max(first + 1, Math.floor(Math.exp(((n + 1) / bars) * top)));
    let level = 0;
    for (let bin = first; bin < last && bin < levels.length; bin++) level = Math.max(level, levels[bin]);
    const tall = (level / 255) * height;
    context.fillRect((n * width) / bars, height - tall, (width / bars) * 0.7, tall);
  }
}

const SIZE = 1024;
const RANGE = 70; // dB that are shown

/** Levels in dB of the first half of the spectrum, in place (radix 2, Hann window). */
function levels(samples, start) {
  const re = new Float32Array(SIZE);
  const im = new Float32Array(SIZE);
  for (let n = 0, m = 0; n < SIZE; n++) {
    re[m] = (samples[start + n] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / SIZE));
    let bit = SIZE >> 1;
    for (; m & bit; bit >>= 1) m ^= bit;
    m |= bit;
  }
  for (let size = 2; size <= SIZE; size *= 2) {
    for (let begin = 0; begin < SIZE; begin += size) {
      for (let k = 0; k < size / 2; k++) {
        const angle = (-2 * Math.PI * k) / size;
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        const [a, b] = [begin + k, begin + k + size / 2];
        const [x, y] = [re[b] * c - im[b] * s, re[b] * s + im[b] * c];
        [re[b], im[b]] = [re[a] - x, im[a] - y];
        [re[a], im[a]] = [re[a] + x, im[a] + y];
      }
    }
  }
  return Float32Array.from({ length: SIZE / 2 }, (_, n) => 10 * Math.log10(re[n] ** 2 + im[n] ** 2 + 1e-9));
}

/** Of several buffers together: time to the right, pitch upwards (logarithmic), brighter is louder. */
export function spectrogram(canvas, buffers) {
  const context = prepared(canvas);
  const columns = Math.min(300, canvas.width);
  const rows = Math.min(128, canvas.height);
  const image = new ImageData(columns, rows);
  const samples = new Float32Array(Math.max(...buffers.map(({ length }) => length)));
  for (const buffer of buffers) buffer.getChannelData(0).forEach((sample, n) => (samples[n] += sample));
  const top = Math.log(SIZE / 2 - 1);
  const found = Array.from({ length: columns }, (_, x) =>
    levels(samples, Math.floor((x / columns) * Math.max(0, samples.length - SIZE))),
  );
  const loudest = Math.max(...found.map((column) => Math.max(...column)));
  for (const [x, column] of found.entries()) {
    for (let y = 0; y < rows; y++) {
      const level = column[Math.floor(Math.exp((1 - y / rows) * top))];
      const share = Math.max(0, Math.min(1, 1 + (level - loudest) / RANGE));
      image.data.set([255 * share ** 1.2, 220 * share ** 2.2, 90 + 165 * Math.sin(share * 2.2), 255 * Math.min(1, share * 3)], 4 * (y * columns + x));
    }
  }
  const small = new OffscreenCanvas(columns, rows);
  small.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** Notes as `{start, end, pitch, velocity}`. */
export function pianoRoll(canvas, notes) {
  const context = prepared(canvas);
  if (!notes.length) return;
  const pitches = notes.map((note) => note.pitch);
  const [low, high] = [Math.min(...pitches) - 1, Math.max(...pitches) + 1];
  const end = Math.max(...notes.map((note) => note.end));
  const tall = canvas.height / (high - low + 1);
  for (const note of notes) {
    context.globalAlpha = 0.4 + (0.6 * note.velocity) / 127;
    context.fillStyle = style("--accent");
    const x = (note.start / end) * canvas.width;
    const width = Math.max(2, ((note.end - note.start) / end) * canvas.width - 1);
    context.fillRect(x, (high - note.pitch) * tall, width, Math.max(2, tall - 1));
  }
}
