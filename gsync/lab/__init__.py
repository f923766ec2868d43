"""Loads a swarm of real processes on this machine, breaks parts of it on purpose, and says what came of it (`gsync stress`)."""
