"""Training of nano's codec (:mod:`cadenza.framecodec`)."""
