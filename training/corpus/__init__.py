"""Synthesised music with exact ground truth: composed, rendered and described by seed.

``compose(seed)`` writes a :class:`~training.corpus.piece.Piece`, ``Renderer().render(piece)``
plays it, ``caption(piece, rng)`` says what a person would have asked for. No learned part, and
no dependency beyond numpy, scipy and a SoundFont synthesizer.
"""
