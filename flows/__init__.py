"""What happens, in order: one file per flow; a flow reads like the plan it carries out."""
