"""Price lists of others, turned into rows of the price book. Pure."""
