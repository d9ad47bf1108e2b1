use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::Str;

/// The names of a number's values: rows of a name and a code.
///
/// A name or a code may stand in several rows; the first of them says what it maps to, in either
/// direction.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EnumDef {
    /// By name, each once.
    codes: Vec<(Str, i64)>,
    /// By code, each once.
    names: Vec<(i64, Str)>,
    true_name: Option<Str>,
    false_name: Option<Str>,
}

/// Why rows are not an enum definition, or why one more is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnumError {
    /// A row has no name.
    #[error("row {0} of the enum definition has no name")]
    Name(usize),
    /// There are more rows than [`EnumDef::ROWS_MAX`].
    #[error("an enum definition has at most {} rows", EnumDef::ROWS_MAX)]
    Rows,
    /// There are more definitions than [`EnumDefs::LEN_MAX`].
    #[error("there are at most {} enum definitions", EnumDefs::LEN_MAX)]
    Defs,
}

impl EnumDef {
    /// The most rows of one definition.
    pub const ROWS_MAX: usize = 4096;

    /// A definition of rows with a name and a code; a row without a code has its index, counted
    /// from 0, as code.
    pub fn new<N: Into<Str>>(
        rows: impl IntoIterator<Item = (N, Option<i64>)>,
    ) -> Result<Self, EnumError> {
        let mut def = Self::default();
        for (index, (name, code)) in rows.into_iter().enumerate() {
            if index == Self::ROWS_MAX {
                return Err(EnumError::Rows);
            }
            let name: Str = name.into();
            if name.is_empty() {
                return Err(EnumError::Name(index));
            }
            let code = code.unwrap_or(index as i64);
            let side = if code == 0 { &mut def.false_name } else { &mut def.true_name };
            side.get_or_insert_with(|| name.clone());
            def.codes.push((name.clone(), code));
            def.names.push((code, name));
        }
        // The sorts are stable, so that the first row of those that are the same stays.
        def.codes.sort_by(|a, b| a.0.cmp(&b.0));
        def.codes.dedup_by(|later, first| later.0 == first.0);
        def.names.sort_by_key(|row| row.0);
        def.names.dedup_by_key(|row| row.0);
        Ok(def)
    }

    /// The definition that a point's `enum` tag gives: names between commas, with the codes 0, 1, 2
    /// and so on. Blanks around a name do not count.
    pub fn from_tag(tag: &str) -> Result<Self, EnumError> {
        Self::new(tag.split(',').map(|name| (name.trim(), None)))
    }

    /// The code of a name.
    pub fn code(&self, name: &str) -> Option<i64> {
        let at = self.codes.binary_search_by(|row| (*row.0).cmp(name)).ok()?;
        self.codes.get(at).map(|row| row.1)
    }

    /// The name of a code.
    pub fn name(&self, code: i64) -> Option<&Str> {
        let at = self.names.binary_search_by_key(&code, |row| row.0).ok()?;
        self.names.get(at).map(|row| &row.1)
    }

    /// The name of the first row whose code is not zero.
    pub fn true_name(&self) -> Option<&Str> {
        self.true_name.as_ref()
    }

    /// The name of the first row whose code is zero.
    pub fn false_name(&self) -> Option<&Str> {
        self.false_name.as_ref()
    }
}

/// The enum definitions that converts refer to by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnumDefs(BTreeMap<Box<str>, EnumDef>);

impl EnumDefs {
    /// The most definitions.
    pub const LEN_MAX: usize = 4096;

    /// No definitions.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a definition or replaces the one of the same name, and gives the old one.
    pub fn insert(&mut self, name: &str, def: EnumDef) -> Result<Option<EnumDef>, EnumError> {
        if self.0.len() >= Self::LEN_MAX && !self.0.contains_key(name) {
            return Err(EnumError::Defs);
        }
        Ok(self.0.insert(name.into(), def))
    }

    /// The definition of this name.
    pub fn get(&self, name: &str) -> Option<&EnumDef> {
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn the_first_row_counts_in_both_directions() {
        let rows = [("a", Some(-1)), ("x", Some(-1)), ("b", Some(9)), ("b", Some(10))];
        let def = EnumDef::new(rows).unwrap();
        for (name, code) in [("a", Some(-1)), ("x", Some(-1)), ("b", Some(9)), ("c", None)] {
            assert_eq!(def.code(name), code, "{name}");
        }
        for (code, name) in [(-1, Some("a")), (9, Some("b")), (10, Some("b")), (11, None)] {
            assert_eq!(def.name(code).map(|name| &**name), name, "{code}");
        }
        assert_eq!(def.true_name().map(|name| &**name), Some("a"));
        assert_eq!(def.false_name(), None);
    }

    #[test]
    fn the_tag_of_a_point_counts_from_zero() {
        let def = EnumDef::from_tag("x, y ,z").unwrap();
        assert_eq!(["x", "y", "z"].map(|name| def.code(name)), [Some(0), Some(1), Some(2)]);
        assert_eq!(def.false_name().map(|name| &**name), Some("x"));
        assert_eq!(def.true_name().map(|name| &**name), Some("y"));
        assert_eq!(EnumDef::from_tag("x,,z"), Err(EnumError::Name(1)));
    }

    #[test]
    fn a_definition_and_their_number_have_a_most() {
        let rows = |n: usize| (0..n).map(|i| (format!("n{i}"), None));
        assert!(EnumDef::new(rows(EnumDef::ROWS_MAX)).is_ok());
        assert_eq!(EnumDef::new(rows(EnumDef::ROWS_MAX + 1)), Err(EnumError::Rows));
        let mut defs = EnumDefs::new();
        for i in 0..EnumDefs::LEN_MAX {
            assert_eq!(defs.insert(&format!("d{i}"), EnumDef::default()), Ok(None));
        }
        assert_eq!(defs.insert("more", EnumDef::default()), Err(EnumError::Defs));
        assert_eq!(defs.insert("d0", EnumDef::default()), Ok(Some(EnumDef::default())));
        assert!(defs.get("more").is_none());
    }
}
