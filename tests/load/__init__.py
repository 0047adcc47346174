"""Mixed traffic against a platform: what becomes of each kind of request, and where the time goes."""
