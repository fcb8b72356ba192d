"""What this computer can do: resources, the plan of a stage, its isolation in a child, and the ways it can die."""
