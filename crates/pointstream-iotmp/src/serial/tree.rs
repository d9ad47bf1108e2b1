use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Serialize;
use serde::ser::{self, Error, Serializer};

use super::SerdeError;
use crate::pson::DEPTH_MAX;
use crate::tree::Tree;

/// Makes trees.
#[derive(Clone, Copy)]
pub(super) struct TreeSerializer {
    /// How many containers more may nest.
    depth: u8,
}

/// A container that is being filled, and the variant that it belongs to.
pub(super) struct Filling<T> {
    inside: TreeSerializer,
    variant: Option<&'static str>,
    items: T,
    key: Option<String>,
}

type Named = BTreeMap<String, Tree>;

impl TreeSerializer {
    pub(super) const fn new() -> Self {
        Self { depth: DEPTH_MAX }
    }

    fn inside(self) -> Result<Self, SerdeError> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| SerdeError::custom("containers nest too deep"))?;
        Ok(Self { depth })
    }

    fn fill<T: Default>(self, variant: Option<&'static str>) -> Result<Filling<T>, SerdeError> {
        let outside = if variant.is_some() { self.inside()? } else { self };
        Ok(Filling { inside: outside.inside()?, variant, items: T::default(), key: None })
    }
}

fn of_variant(variant: Option<&'static str>, tree: Tree) -> Tree {
    match variant {
        Some(name) => Tree::from([(name, tree)]),
        None => tree,
    }
}

impl Serializer for TreeSerializer {
    type Ok = Tree;
    type Error = SerdeError;
    type SerializeSeq = Filling<Vec<Tree>>;
    type SerializeTuple = Filling<Vec<Tree>>;
    type SerializeTupleStruct = Filling<Vec<Tree>>;
    type SerializeTupleVariant = Filling<Vec<Tree>>;
    type SerializeMap = Filling<Named>;
    type SerializeStruct = Filling<Named>;
    type SerializeStructVariant = Filling<Named>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, truth: bool) -> Result<Tree, SerdeError> {
        Ok(Tree::Bool(truth))
    }

    fn serialize_i8(self, number: i8) -> Result<Tree, SerdeError> {
        self.serialize_i64(number.into())
    }

    fn serialize_i16(self, number: i16) -> Result<Tree, SerdeError> {
        self.serialize_i64(number.into())
    }

    fn serialize_i32(self, number: i32) -> Result<Tree, SerdeError> {
        self.serialize_i64(number.into())
    }

    fn serialize_i64(self, number: i64) -> Result<Tree, SerdeError> {
        Ok(u64::try_from(number).map_or(Tree::Signed(number), Tree::Unsigned))
    }

    fn serialize_u8(self, number: u8) -> Result<Tree, SerdeError> {
        self.serialize_u64(number.into())
    }

    fn serialize_u16(self, number: u16) -> Result<Tree, SerdeError> {
        self.serialize_u64(number.into())
    }

    fn serialize_u32(self, number: u32) -> Result<Tree, SerdeError> {
        self.serialize_u64(number.into())
    }

    fn serialize_u64(self, number: u64) -> Result<Tree, SerdeError> {
        Ok(Tree::Unsigned(number))
    }

    fn serialize_i128(self, number: i128) -> Result<Tree, SerdeError> {
        let number = i64::try_from(number);
        self.serialize_i64(number.map_err(|_| SerdeError::custom("a number beyond 64 bits"))?)
    }

    fn serialize_u128(self, number: u128) -> Result<Tree, SerdeError> {
        let number = u64::try_from(number);
        self.serialize_u64(number.map_err(|_| SerdeError::custom("a number beyond 64 bits"))?)
    }

    fn serialize_f32(self, number: f32) -> Result<Tree, SerdeError> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<Tree, SerdeError> {
        Ok(Tree::Float(number))
    }

    fn serialize_char(self, char: char) -> Result<Tree, SerdeError> {
        Ok(Tree::Text(char.to_string()))
    }

    fn serialize_str(self, text: &str) -> Result<Tree, SerdeError> {
        Ok(Tree::from(text))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Tree, SerdeError> {
        Ok(Tree::Bytes(bytes.into()))
    }

    fn serialize_none(self) -> Result<Tree, SerdeError> {
        Ok(Tree::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Tree, SerdeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Tree, SerdeError> {
        Ok(Tree::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Tree, SerdeError> {
        Ok(Tree::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Tree, SerdeError> {
        Ok(Tree::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Tree, SerdeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Tree, SerdeError> {
        Ok(of_variant(Some(variant), value.serialize(self.inside()?)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, SerdeError> {
        self.fill(None)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, SerdeError> {
        self.fill(None)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, SerdeError> {
        self.fill(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, SerdeError> {
        self.fill(Some(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, SerdeError> {
        self.fill(None)
    }

    fn serialize_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, SerdeError> {
        self.fill(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, SerdeError> {
        self.fill(Some(variant))
    }
}

impl Filling<Vec<Tree>> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        self.items.push(value.serialize(self.inside)?);
        Ok(())
    }

    fn array(self) -> Tree {
        of_variant(self.variant, Tree::Array(self.items))
    }
}

impl Filling<Named> {
    fn put<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), SerdeError> {
        self.items.insert(name, value.serialize(self.inside)?);
        Ok(())
    }

    fn map(self) -> Tree {
        of_variant(self.variant, Tree::Map(self.items))
    }
}

macro_rules! arrays {
    ($($kind:ident: $method:ident;)*) => {$(
        impl ser::$kind for Filling<Vec<Tree>> {
            type Ok = Tree;
            type Error = SerdeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
                self.push(value)
            }

            fn end(self) -> Result<Tree, SerdeError> {
                Ok(self.array())
            }
        }
    )*};
}

arrays! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

macro_rules! maps {
    ($($kind:ident;)*) => {$(
        impl ser::$kind for Filling<Named> {
            type Ok = Tree;
            type Error = SerdeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), SerdeError> {
                self.put(name.to_string(), value)
            }

            fn end(self) -> Result<Tree, SerdeError> {
                Ok(self.map())
            }
        }
    )*};
}

maps! {
    SerializeStruct;
    SerializeStructVariant;
}

impl ser::SerializeMap for Filling<Named> {
    type Ok = Tree;
    type Error = SerdeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerdeError> {
        self.key = Some(match key.serialize(TreeSerializer::new())? {
            Tree::Text(text) => text,
            Tree::Bool(truth) => truth.to_string(),
            Tree::Unsigned(number) => number.to_string(),
            Tree::Signed(number) => number.to_string(),
            _ => return Err(SerdeError::custom("the key of a map is text")),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        let key = self.key.take();
        self.put(key.ok_or_else(|| SerdeError::custom("a value without a key"))?, value)
    }

    fn end(self) -> Result<Tree, SerdeError> {
        Ok(self.map())
    }
}
