"""The commands around the price book: look at it, compare versions, set prices, import a public list."""
