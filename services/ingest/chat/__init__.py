"""Chat completions: a conversation in, its next message out, written or spoken."""
