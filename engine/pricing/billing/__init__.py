"""Providers' bills: read what was billed by agent and UTC day, and compare it with what the ledger has. Pure."""
