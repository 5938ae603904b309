"""How messages travel: record, log, sequencer, transports, replay; and in `bus.runtime` what serves a component."""
