"""How nano, the bundled checkpoint, was made. Each step is one command that resumes after a kill.

::

    python -m training.render          compose, render and caption pieces   → shards of sound
    python -m training.codec           learn codes from the shards          → a codec
    python -m training.encode          turn the shards into codes           → shards of codes
    python -m training.captions        write many more captions             → shards of captions
    python -m training.language_model  learn to write codes from captions   → a language model
    python -m training.critic          learn to hear in codes what plays    → a critic
    python -m training.export          put them into one checkpoint folder  → nano
"""
