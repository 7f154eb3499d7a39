"""What pages and reports ask the ledger: pure functions of a connection.

Each returns frozen rows, money in integer micro-dollars and instants in UTC; each reads a bounded number of rows.
"""
