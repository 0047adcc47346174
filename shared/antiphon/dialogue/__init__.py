"""A turn of a dialogue as jobs on the bus: what was said is recognised, answered, and the answer spoken."""
