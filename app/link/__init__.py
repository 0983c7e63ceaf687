"""Commands to the leader and outcomes back: framed msgpack over TCP, mutually authenticated."""
