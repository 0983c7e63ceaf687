"""`orderwire load`: orders at a given rate, and how long each waited from the moment it was meant to be sent."""
