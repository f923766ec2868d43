"""What things are and what should happen: pure; time, randomness and other peers' words are arguments."""
