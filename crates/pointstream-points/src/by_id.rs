/// The places of points in the order of their ids, which stand with the points alone.
///
/// Eight bytes a point, where a tree with its own copies of the ids takes six times that. It is
/// a list in pieces: a search halves the list of pieces and then one piece, a change moves what
/// stands behind it in one piece. Ids are looked up where the points are, so whoever calls gives the
/// way from a place to its id, and every place that is listed must have one.
#[derive(Debug, Default)]
pub(crate) struct ById {
    /// None is empty, none is longer than [`PIECE_LEN_MAX`].
    pieces: Vec<Vec<Place>>,
    len: usize,
}

/// Where a point stands: the slot in its shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) shard: u32,
    pub(crate) slot: u32,
}

/// A position in the list: which piece, and where in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct At {
    piece: usize,
    index: usize,
}

impl ById {
    pub(crate) const fn new() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Where `id` stands, or else where it would.
    pub(crate) fn find<'a>(&self, id: &str, id_of: impl Fn(Place) -> &'a str) -> Result<At, At> {
        // The last piece that begins at or before it.
        let after = self.pieces.partition_point(|piece| id_of(piece[0]) <= id);
        let Some(piece) = after.checked_sub(1) else { return Err(At { piece: 0, index: 0 }) };
        match self.pieces[piece].binary_search_by(|&place| id_of(place).cmp(id)) {
            Ok(index) => Ok(At { piece, index }),
            Err(index) => Err(At { piece, index }),
        }
    }

    /// What stands at `at`.
    pub(crate) fn get(&self, at: At) -> Option<Place> {
        self.pieces.get(at.piece)?.get(at.index).copied()
    }

    /// Puts `place` at `at`, where [`Self::find`] said that its id would stand.
    pub(crate) fn insert(&mut self, mut at: At, place: Place) {
        self.len += 1;
        let is_last = at.piece + 1 == self.pieces.len();
        let Some(piece) = self.pieces.get_mut(at.piece) else {
            self.pieces.push(vec![place]);
            return;
        };
        if piece.len() == PIECE_LEN_MAX {
            // Ids that come in order leave full pieces behind them. Only at the end: between two
            // pieces, ids against their order would each begin a piece of their own.
            let is_end = is_last && at.index == PIECE_LEN_MAX;
            let keep = if is_end { PIECE_LEN_MAX } else { PIECE_LEN_MAX / 2 };
            let rest = piece.split_off(keep);
            self.pieces.insert(at.piece + 1, rest);
            if at.index >= keep {
                at = At { piece: at.piece + 1, index: at.index - keep };
            }
        }
        self.pieces[at.piece].insert(at.index, place);
    }

    /// Takes out what stands at `at`.
    pub(crate) fn remove(&mut self, at: At) {
        let piece = &mut self.pieces[at.piece];
        piece.remove(at.index);
        self.len -= 1;
        if piece.is_empty() {
            self.pieces.remove(at.piece);
            return;
        }
        // What has become short goes to its neighbour, so that the list of pieces stays short.
        let len = piece.len();
        let next = self.pieces.get(at.piece + 1).map_or(PIECE_LEN_MAX, Vec::len);
        if len + next <= PIECE_LEN_MAX / 2 {
            let next = self.pieces.remove(at.piece + 1);
            self.pieces[at.piece].extend(next);
        }
    }

    /// Takes out the places of a shard, in one pass over all.
    pub(crate) fn remove_shard(&mut self, shard: u32) {
        for piece in &mut self.pieces {
            piece.retain(|place| place.shard != shard);
        }
        self.pieces.retain(|piece| !piece.is_empty());
        self.len = self.pieces.iter().map(Vec::len).sum();
    }

    /// All places from the first one whose id is greater than `after`.
    pub(crate) fn iter_after<'a>(
        &self,
        after: Option<&str>,
        id_of: impl Fn(Place) -> &'a str,
    ) -> impl Iterator<Item = Place> {
        let from = match after.map(|id| self.find(id, id_of)) {
            None => At { piece: 0, index: 0 },
            Some(Ok(at)) => At { index: at.index + 1, ..at },
            Some(Err(at)) => at,
        };
        let pieces = self.pieces.get(from.piece..).unwrap_or_default();
        pieces.iter().flatten().skip(from.index).copied()
    }
}

/// A change moves half of this at a time: two kilobytes.
const PIECE_LEN_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Numbers as ids, so that a place says its own.
    fn ids() -> Vec<String> {
        (0..5_000).map(|n| format!("p{n:04}")).collect()
    }

    fn check(list: &ById, model: &BTreeSet<u32>, ids: &[String]) {
        let id_of = |place: Place| ids[place.slot as usize].as_str();
        let listed: Vec<u32> = list.iter_after(None, id_of).map(|place| place.slot).collect();
        assert!(listed.iter().eq(model.iter()));
        assert_eq!(list.len(), model.len());
        assert!(list.pieces.iter().all(|p| !p.is_empty() && p.len() <= PIECE_LEN_MAX));
    }

    #[test]
    fn it_lists_what_a_set_lists_however_it_is_filled_and_emptied() {
        let ids = ids();
        let id_of = |place: Place| ids[place.slot as usize].as_str();
        // In order, against it, and scattered: a step that shares no factor with the count.
        for step in [1, 4_999, 1_373] {
            let (mut list, mut model) = (ById::new(), BTreeSet::new());
            let order: Vec<u32> = (0..5_000).map(|n| n * step % 5_000).collect();
            for &slot in &order {
                let place = Place { shard: slot % 3, slot };
                let at = list.find(&ids[slot as usize], id_of).unwrap_err();
                list.insert(at, place);
                model.insert(slot);
                assert_eq!(list.get(list.find(&ids[slot as usize], id_of).unwrap()), Some(place));
            }
            check(&list, &model, &ids);
            let after: Vec<u32> = list.iter_after(Some("p2499"), id_of).map(|p| p.slot).collect();
            assert!(after.into_iter().eq(2_500..5_000));
            assert_eq!(list.iter_after(Some("p24995"), id_of).next().unwrap().slot, 2_500);
            assert_eq!(list.iter_after(Some("q"), id_of).next(), None);
            for &slot in order.iter().filter(|slot| *slot % 7 != 0) {
                let at = list.find(&ids[slot as usize], id_of).unwrap();
                list.remove(at);
                model.remove(&slot);
            }
            check(&list, &model, &ids);
            assert!(list.pieces.len() < 12, "{} pieces for {}", list.pieces.len(), list.len());
            list.remove_shard(1);
            model.retain(|slot| slot % 3 != 1);
            check(&list, &model, &ids);
        }
    }

    #[test]
    fn ids_against_their_order_between_full_pieces_share_pieces() {
        let ids = ids();
        let id_of = |place: Place| ids[place.slot as usize].as_str();
        let mut list = ById::new();
        for slot in (0..512).chain(4_000..5_000).chain((512..4_000).rev()) {
            let at = list.find(&ids[slot as usize], id_of).unwrap_err();
            list.insert(at, Place { shard: 1, slot });
        }
        check(&list, &(0..5_000).collect(), &ids);
        assert!(list.pieces.len() < 24, "{} pieces", list.pieces.len());
    }

    #[test]
    fn ids_in_order_leave_full_pieces() {
        let ids = ids();
        let id_of = |place: Place| ids[place.slot as usize].as_str();
        let mut list = ById::new();
        for slot in 0..5_000 {
            let at = list.find(&ids[slot as usize], id_of).unwrap_err();
            list.insert(at, Place { shard: 1, slot });
        }
        assert_eq!(list.pieces.len(), 5_000_usize.div_ceil(PIECE_LEN_MAX));
    }
}
