"""How each step is done: one package per phase, thin Prefect tasks over plain functions."""
