"""Training of nano's text encoder and decoder, together and from nothing."""
