use pointstream_point::{Fault, HisItem, PointSpec, Tag, Value};

/// How the items of a synchronisation are written: the tag `connHisWriteOpts`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct WriteOptions {
    /// What is in the span and not given any more goes.
    pub(super) clear: bool,
    /// Numbers are in the unit of the point, whatever the device says.
    unit_set: bool,
}

impl WriteOptions {
    pub(super) fn of(spec: &PointSpec) -> Result<Self, Fault> {
        let mut options = Self::default();
        let Some(tag) = spec.more.tags.get("connHisWriteOpts") else { return Ok(options) };
        let bad = |what: &dyn core::fmt::Display| {
            let text = format_args!("Invalid 'connHisWriteOpts' [{what}]: expected clear, unitSet");
            Err(Fault::permanent(text))
        };
        let Tag::Value(Value::Str(text)) = tag else { return bad(&"not a text") };
        for name in text.split(',').map(str::trim) {
            match name {
                "clear" => options.clear = true,
                "unitSet" => options.unit_set = true,
                other => return bad(&other),
            }
        }
        Ok(options)
    }

    /// Makes of items what is to be checked.
    pub(super) fn prepare(self, items: &mut [HisItem]) {
        for item in items.iter_mut().filter(|_| self.unit_set) {
            if let Value::Number(_, unit) = &mut item.val {
                *unit = None;
            }
        }
    }
}
