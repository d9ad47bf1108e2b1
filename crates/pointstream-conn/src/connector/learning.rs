//! Looking into a device's tree.

use pointstream_point::{Fault, LearnPath, Learned};

use crate::action::{Action, Outcome};
use crate::driver::{Learn, OpError};
use crate::view::{ConnState, Event};

use super::Connector;

/// How many looks into the tree may wait. One that comes beyond is refused at once.
const LEARNS_MAX: usize = 16;

impl Connector {
    /// Somebody wants to know what is at a place of the tree.
    pub(super) fn on_learn(&mut self, at: Option<LearnPath>, token: u64) {
        let refused = match self.features.learn {
            None => Some(Fault::unsupported("learning")),
            Some(Learn::Session) => self.unreachable(),
            Some(Learn::Offline) => None,
        };
        let full = || Fault::down("too many ask about this device's tree at once");
        let refused = refused.or_else(|| (self.learns.len() >= LEARNS_MAX).then(full));
        if let Some(fault) = refused {
            return self.events.push_back(Event::Learned { token, result: Err(fault) });
        }
        self.learns.push_back((at, token));
        if self.learns_online() {
            self.linger(self.config.linger);
        }
    }

    /// The next look into the tree, where none needs a session.
    pub(super) fn next_offline_learn(&mut self) -> Option<Action> {
        if self.features.learn != Some(Learn::Offline) {
            return None;
        }
        self.next_learn()
    }

    /// The next look into the tree.
    pub(super) fn next_learn(&mut self) -> Option<Action> {
        let (at, token) = self.learns.pop_front()?;
        self.learning = Some(token);
        Some(Action::Learn(at))
    }

    /// Whether somebody waits for a look that needs a session.
    pub(super) fn learns_online(&self) -> bool {
        self.features.learn == Some(Learn::Session) && !self.learns.is_empty()
    }

    /// A look has ended. One without a session has none to lose.
    pub(super) fn on_learned(&mut self, result: Result<Outcome, OpError>) {
        let Some(token) = self.learning.take() else { return };
        let (result, lost) = match result {
            Ok(Outcome::Learned(rows)) => (Ok(Learned::of(rows)), None),
            Ok(_) => (Ok(Learned::default()), None),
            Err(OpError::Refused(fault)) => (Err(fault), None),
            Err(OpError::Session(fault)) => (Err(fault.clone()), Some(fault)),
        };
        self.events.push_back(Event::Learned { token, result });
        self.on_aside(lost);
    }

    /// What was asked beside polls and writes has ended: a sign of life, or the loss of the session,
    /// where there is one.
    pub(super) fn on_aside(&mut self, lost: Option<Fault>) {
        match lost {
            _ if self.view.state != ConnState::Open => {}
            None => self.prove(),
            Some(fault) => {
                self.close_wanted = true;
                self.on_lost(fault);
            }
        }
    }

    pub(super) fn fail_learns(&mut self, fault: &Fault) {
        if !self.learns_online() {
            return;
        }
        for (_, token) in core::mem::take(&mut self.learns) {
            self.events.push_back(Event::Learned { token, result: Err(fault.clone()) });
        }
    }
}
