"""What execution costs and how long it takes: slippage, commission and latency models, chosen by name in a config."""
