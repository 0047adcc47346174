"""The public door: HTTP in, jobs on the bus, answers in the exact shape that OpenAI and Azure clients expect."""
