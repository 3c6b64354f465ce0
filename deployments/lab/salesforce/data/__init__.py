"""The lab's data: a seeded international retailer, and the truth of who is who in it (see `people`)."""

from deployments.lab.salesforce.data.generate import DataSummary, generate

__all__ = ["DataSummary", "generate"]
