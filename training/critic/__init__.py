"""nano's critic, that hears in codes what a piece is: see :mod:`cadenza.studio.critic`."""
