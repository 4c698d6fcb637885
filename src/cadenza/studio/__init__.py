"""Many takes to one piece: bands, mixes, loops, auditions, and sessions that a DAW opens."""
