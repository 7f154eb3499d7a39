"""`bursar vault`: what agents are called with, and the keys that it is encrypted by."""
