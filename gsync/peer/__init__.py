"""One peer: each module is one loop with one job, and `peer.py` wires them."""
