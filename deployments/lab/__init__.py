"""The embedded stand-in for the outside world: real servers on loopback, started and stopped together."""
