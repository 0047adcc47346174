"""Jobs without a waiting caller: admitted, shown, followed and withdrawn."""
