//! The store as its users see it, in processes that are killed too.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod damage;
mod folder;
mod history;
mod kill;
