// Sounds of the page's own as files: what was heard live, and a mix as its faders stand.

/** A WAV file of 16 bit from `parts`, Int16Arrays of interleaved samples one after the other. */
export function wav(parts, channels, rate) {
  const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const head = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, n) => head.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF");
  head.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, channels, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, rate * channels * 2, true);
  head.setUint16(32, channels * 2, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, bytes, true);
  return new Blob([head, ...parts], { type: "audio/wav" });
}

/** An AudioBuffer as such a file, brought down where it is louder than full scale. */
export function bounced(buffer) {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, n) => buffer.getChannelData(n));
  let peak = 1;
  for (const samples of channels) for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  const pcm = new Int16Array(buffer.length * channels.length);
  for (const [n, samples] of channels.entries())
    for (let i = 0; i < samples.length; i++) pcm[i * channels.length + n] = Math.round((samples[i] / peak) * 32767);
  return wav([pcm], channels.length, buffer.sampleRate);
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
