"""Scripted attacks with ground truth: each scenario is a real client that steals, and then keeps trying."""
