"""Who speaks: data, strategy, risk, order manager, broker, portfolio, coordinator. They meet only in messages."""
