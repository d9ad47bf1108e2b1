use std::task::Waker;

/// The subscribers of a topic, each with the waker it left when it had nothing to read.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug)]
enum Slot {
    Free,
    Used { view: u32, waker: Option<Waker> },
}

impl Slots {
    pub(crate) fn take(&mut self, view: u32) -> usize {
        let used = Slot::Used { view, waker: None };
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = used;
                slot
            }
            None => {
                self.slots.push(used);
                self.slots.len() - 1
            }
        }
    }

    pub(crate) fn release(&mut self, slot: usize) {
        if let Some(used @ Slot::Used { .. }) = self.slots.get_mut(slot) {
            *used = Slot::Free;
            self.free.push(slot);
        }
        if self.is_empty() {
            // What a burst of subscribers took is given back once they are gone.
            *self = Self::default();
        }
    }

    pub(crate) fn wait(&mut self, slot: usize, waker: &Waker) {
        if let Some(Slot::Used { waker: waiting, .. }) = self.slots.get_mut(slot) {
            match waiting {
                Some(old) => old.clone_from(waker),
                None => *waiting = Some(waker.clone()),
            }
        }
    }

    /// Forgets the waker of one that waits no more.
    pub(crate) fn forget(&mut self, slot: usize) {
        if let Some(Slot::Used { waker, .. }) = self.slots.get_mut(slot) {
            *waker = None;
        }
    }

    /// Takes the wakers of those who wait on one of some views, to be woken when no lock is held.
    pub(crate) fn wakers(&mut self, views: &[u32]) -> Vec<Waker> {
        if views.is_empty() {
            return Vec::new();
        }
        let take = |slot: &mut Slot| match slot {
            Slot::Used { view, waker } if views.contains(view) => waker.take(),
            _ => None,
        };
        self.slots.iter_mut().filter_map(take).collect()
    }

    /// Takes the wakers of all who wait.
    pub(crate) fn all_wakers(&mut self) -> Vec<Waker> {
        let take = |slot: &mut Slot| match slot {
            Slot::Used { waker, .. } => waker.take(),
            Slot::Free => None,
        };
        self.slots.iter_mut().filter_map(take).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again_and_given_back() {
        let mut slots = Slots::default();
        let (a, b) = (slots.take(0), slots.take(1));
        slots.wait(a, Waker::noop());
        slots.wait(b, Waker::noop());
        slots.release(a);
        assert_eq!(slots.len(), 1);
        assert_eq!(slots.wakers(&[0, 2]).len(), 0, "it waits on another view");
        assert_eq!(slots.wakers(&[0, 1]).len(), 1);
        assert_eq!(slots.wakers(&[0, 1]).len(), 0, "a waker is taken once");
        assert_eq!(slots.take(0), a);
        slots.release(a);
        slots.release(a);
        slots.release(b);
        assert!(slots.is_empty());
        assert!(slots.slots.is_empty());
    }
}
