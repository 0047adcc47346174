"""The tools of MCP servers: which need approval, and how they are listed and called."""
