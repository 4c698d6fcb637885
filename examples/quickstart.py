"""Five lines: load, make, save, stream."""

import cadenza

model = cadenza.load("nano")  # or "small", a hub id, a folder
take = model.generate("jazz piano, 120 bpm", duration=10, seed=7)
take.save("jazz.wav")
for chunk in model.stream("ambient pads", duration=5, seed=7):  # as they are made
    print(f"{chunk.duration:.2f} s of sound, peak {chunk.peak:.2f}")
