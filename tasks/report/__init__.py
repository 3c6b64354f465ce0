"""Report: what a commander, a lawyer and an auditor read, and the scorecard of a rehearsal."""
