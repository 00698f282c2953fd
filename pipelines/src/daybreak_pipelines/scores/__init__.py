"""``daybreak evaluate``: what a person asks for of scores, and what the terminal shows."""
