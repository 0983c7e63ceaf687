"""Thin REST routes, one file per resource: read, authenticate, decode, ask a port, answer bytes."""
