"""The running peer as others see it: what can be asked of it, and the local API that carries the questions."""
