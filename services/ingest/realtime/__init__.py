"""The public door of live sessions: who may open one, in which dialect, and what goes through its socket."""
