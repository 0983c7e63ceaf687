"""Everything on one machine for development: local servers, the `dev` supervisor, seeding and the demo market."""
