"""Whole responses against the lab."""
