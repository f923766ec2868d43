"""The door for `python gsync.py <ip> <port>`: it opens `gsync/__main__.py`, and that is all it does."""

from gsync.__main__ import run

if __name__ == "__main__":
    run()
