"""`bursar audit`: prove the ledger, sign where its chain ends, and see who changed what."""
