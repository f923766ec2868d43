"""Network, clock and greenlets: the one room that touches sockets; it knows no disk."""
