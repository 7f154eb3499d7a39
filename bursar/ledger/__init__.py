"""`bursar ledger`: look after what the ledger keeps."""
