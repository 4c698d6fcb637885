"""How well Cadenza does, in figures that anyone can print again.

::

    python -m benchmarks.codec       what a codec keeps of rendered pieces
    python -m benchmarks.adherence   whether takes hold what their prompts ask for
    python -m benchmarks.finetune    whether nano takes on a sound that it does not know
    python -m benchmarks.drums       whether drums are told from no drums
    python -m benchmarks.stream      whether a stream can go on for ever: rate, memory, level, key
    python -m benchmarks.midi        how well notes and drum hits are heard
    python -m benchmarks.listening   seconds and memory of notes, stems and pictures
    python -m benchmarks.service     how much a service does: jobs a minute, waits, listeners
"""
