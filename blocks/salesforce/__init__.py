"""The Salesforce org: login, a session that survives trouble, bulk export, and the block over them."""
