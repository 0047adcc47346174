"""Who may come in, and how much they may use: keys, tokens of an identity provider, limits."""
