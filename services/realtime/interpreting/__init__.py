"""Sessions that interpret: what is said in one language is told and spoken in another, on and on."""
