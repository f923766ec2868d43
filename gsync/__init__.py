"""gsync keeps a folder the same on every machine, with no cloud in between.

Importing this package does nothing: it patches no sockets, starts nothing and reads nothing. The program begins in
`gsync/__main__.py`.
"""

__version__ = "0.1.0"
