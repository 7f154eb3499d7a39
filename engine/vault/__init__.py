"""Credentials of agents, encrypted in the ledger database by keys that are not in it."""
