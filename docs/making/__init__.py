"""What the site computes at its build: figures, the table of peers, the ledger, the gallery."""
