"""Access kinds of a Salesforce org. `org.py` is the small face of the API that they use."""
