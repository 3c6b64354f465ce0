"""Evidence: the ledger, its signature, the pack an auditor takes away, and its offline check."""
