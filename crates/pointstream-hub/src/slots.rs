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
    Used(Option<Waker>),
}

impl Slots {
    pub(crate) fn take(&mut self) -> usize {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Slot::Used(None);
                slot
            }
            None => {
                self.slots.push(Slot::Used(None));
                self.slots.len() - 1
            }
        }
    }

    pub(crate) fn release(&mut self, slot: usize) {
        if let Some(used @ Slot::Used(_)) = self.slots.get_mut(slot) {
            *used = Slot::Free;
            self.free.push(slot);
        }
        if self.is_empty() {
            // What a burst of subscribers took is given back once they are gone.
            *self = Self::default();
        }
    }

    pub(crate) fn wait(&mut self, slot: usize, waker: &Waker) {
        if let Some(Slot::Used(waiting)) = self.slots.get_mut(slot) {
            match waiting {
                Some(old) => old.clone_from(waker),
                None => *waiting = Some(waker.clone()),
            }
        }
    }

    /// Takes the wakers of those who wait, to be woken when no lock is held.
    pub(crate) fn wakers(&mut self) -> Vec<Waker> {
        let take = |slot: &mut Slot| match slot {
            Slot::Used(waker) => waker.take(),
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
        let (a, b) = (slots.take(), slots.take());
        slots.wait(a, Waker::noop());
        slots.wait(b, Waker::noop());
        slots.release(a);
        assert_eq!(slots.len(), 1);
        assert_eq!(slots.wakers().len(), 1);
        assert_eq!(slots.wakers().len(), 0, "a waker is taken once");
        assert_eq!(slots.take(), a);
        slots.release(a);
        slots.release(a);
        slots.release(b);
        assert!(slots.is_empty());
        assert!(slots.slots.is_empty());
    }
}
