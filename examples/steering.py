"""Three texts in one piece without a seam: steered while it plays, and written to steered.wav."""

import numpy as np

import cadenza
from cadenza.audio import write

TEXTS = ("jazz piano, 120 bpm", "slow strings, 80 bpm", "techno, 130 bpm")
SECONDS = 4  # of each

model = cadenza.load("nano")
heard: list[np.ndarray] = []
with model.stream(TEXTS[0], buffer=0.5, seed=7) as stream:
    for text in TEXTS:
        stream.steer(text, over=2)  # seconds from one text to the next
        seconds = 0.0
        while seconds < SECONDS:
            chunk = next(stream)
            heard.append(chunk.samples)
            seconds += chunk.duration
        print(f"{text}: {seconds:.2f} s")
print(write(cadenza.Audio(np.concatenate(heard, axis=1), model.rate), "steered.wav"))
