"""Tests mirror the four folders; end-to-end tests run against the lab over real sockets."""
