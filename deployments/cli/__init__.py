"""The command `leak-response`: one file per command, each thin over flows, tasks and the lab."""
