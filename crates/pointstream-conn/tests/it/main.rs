//! A connector's shell with a fake device, under paused time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shell;
