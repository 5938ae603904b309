"""What serves a component: its contract, its context and clock, execution modes and thread models, the runner."""
