"""What pages and reports ask the ledger: pure functions of a connection.

Each returns frozen rows, money in integer micro-dollars and instants in UTC. Each statement answers with a bounded
number of rows, and what it reads grows with the rollups of the time asked about, not with the calls.
"""
