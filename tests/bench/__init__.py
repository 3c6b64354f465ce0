"""How fast scoping is, measured against plain pandas, hand-written engines and the bytes themselves."""
