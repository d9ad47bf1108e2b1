//! From bytes to a payload.

use super::DecodeError;
use super::payload::{
    DataSet, Limits, MetaData, Metric, Parameter, Payload, Property, PropertySet, Raw, Template,
};
use super::wire::{Field, Reader};

impl Payload {
    /// Reads a payload. Fields that are not known are passed over, as Protocol Buffers demand.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`].
    pub fn decode(bytes: &[u8], limits: Limits) -> Result<Self, DecodeError> {
        if bytes.len() > limits.len_max {
            return Err(DecodeError::TooLong(limits.len_max));
        }
        Decoder { limits, items: 0, depth: 0 }.payload(bytes)
    }
}

struct Decoder {
    limits: Limits,
    items: usize,
    depth: usize,
}

type Result<T, E = DecodeError> = core::result::Result<T, E>;

impl Decoder {
    /// One more of what takes memory.
    fn item(&mut self) -> Result<()> {
        self.items += 1;
        if self.items > self.limits.items_max {
            return Err(DecodeError::TooMany(self.limits.items_max));
        }
        Ok(())
    }

    /// One level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= self.limits.depth_max {
            return Err(DecodeError::TooDeep(self.limits.depth_max));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn payload(&mut self, bytes: &[u8]) -> Result<Payload> {
        let mut payload = Payload::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => payload.timestamp = Some(field.u64()?),
                2 => payload.metrics.push(self.metric(field.bytes()?)?),
                3 => payload.seq = Some(field.u64()?),
                4 => payload.uuid = Some(field.str()?.into()),
                5 => payload.body = Some(field.bytes()?.into()),
                _ => {}
            }
        }
        Ok(payload)
    }

    fn metric(&mut self, bytes: &[u8]) -> Result<Metric> {
        self.item()?;
        let mut metric = Metric::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => metric.name = Some(field.str()?.into()),
                2 => metric.alias = Some(field.u64()?),
                3 => metric.timestamp = Some(field.u64()?),
                4 => metric.datatype = Some(field.u32()?),
                5 => metric.is_historical = field.bool()?,
                6 => metric.is_transient = field.bool()?,
                7 => metric.is_null = field.bool()?,
                8 => metric.metadata = Some(Box::new(metadata(field.bytes()?)?)),
                9 => {
                    let bytes = field.bytes()?;
                    let set = self.deeper(|decoder| decoder.properties(bytes))?;
                    metric.properties = Some(Box::new(set));
                }
                10..=15 => metric.value = Some(scalar(number - 10, field)?),
                16 => metric.value = Some(Raw::Bytes(field.bytes()?.into())),
                17 => {
                    let set = self.data_set(field.bytes()?)?;
                    metric.value = Some(Raw::DataSet(Box::new(set)));
                }
                18 => {
                    let bytes = field.bytes()?;
                    let template = self.deeper(|decoder| decoder.template(bytes))?;
                    metric.value = Some(Raw::Template(Box::new(template)));
                }
                19 => metric.value = Some(Raw::Extension(field.bytes()?.into())),
                _ => {}
            }
        }
        Ok(metric)
    }

    fn properties(&mut self, bytes: &[u8]) -> Result<PropertySet> {
        let (mut keys, mut values) = (Vec::<Box<str>>::new(), Vec::new());
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => {
                    self.item()?;
                    keys.push(field.str()?.into());
                }
                2 => {
                    self.item()?;
                    values.push(self.property(field.bytes()?)?);
                }
                _ => {}
            }
        }
        if keys.len() != values.len() {
            return Err(DecodeError::Properties);
        }
        Ok(PropertySet { entries: keys.into_iter().zip(values).collect() })
    }

    fn property(&mut self, bytes: &[u8]) -> Result<Property> {
        let mut property = Property::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => property.datatype = Some(field.u32()?),
                2 => property.is_null = field.bool()?,
                3..=8 => property.value = Some(scalar(number - 3, field)?),
                9 => {
                    let bytes = field.bytes()?;
                    let set = self.deeper(|decoder| decoder.properties(bytes))?;
                    property.value = Some(Raw::Set(Box::new(set)));
                }
                10 => {
                    let bytes = field.bytes()?;
                    let sets = self.deeper(|decoder| decoder.property_sets(bytes))?;
                    property.value = Some(Raw::Sets(sets));
                }
                11 => property.value = Some(Raw::Extension(field.bytes()?.into())),
                _ => {}
            }
        }
        Ok(property)
    }

    fn property_sets(&mut self, bytes: &[u8]) -> Result<Vec<PropertySet>> {
        let mut sets = Vec::new();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            if number == 1 {
                self.item()?;
                sets.push(self.properties(field.bytes()?)?);
            }
        }
        Ok(sets)
    }

    fn data_set(&mut self, bytes: &[u8]) -> Result<DataSet> {
        let mut set = DataSet::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => set.num_of_columns = Some(field.u64()?),
                2 => {
                    self.item()?;
                    set.columns.push(field.str()?.into());
                }
                3 => self.types(field, &mut set.types)?,
                4 => {
                    self.item()?;
                    set.rows.push(self.row(field.bytes()?)?);
                }
                _ => {}
            }
        }
        Ok(set)
    }

    /// Types, one by one or packed: a reader has to understand both.
    fn types(&mut self, field: Field<'_>, types: &mut Vec<u32>) -> Result<()> {
        let Field::Len(bytes) = field else {
            self.item()?;
            types.push(field.u32()?);
            return Ok(());
        };
        let mut reader = Reader::new(bytes);
        while let Some(value) = reader.packed()? {
            self.item()?;
            types.push(value as u32);
        }
        Ok(())
    }

    fn row(&mut self, bytes: &[u8]) -> Result<Vec<Option<Raw>>> {
        let mut row = Vec::new();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            if number == 1 {
                self.item()?;
                row.push(cell(field.bytes()?)?);
            }
        }
        Ok(row)
    }

    fn template(&mut self, bytes: &[u8]) -> Result<Template> {
        let mut template = Template::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => template.version = Some(field.str()?.into()),
                2 => template.metrics.push(self.metric(field.bytes()?)?),
                3 => {
                    self.item()?;
                    template.parameters.push(parameter(field.bytes()?)?);
                }
                4 => template.template_ref = Some(field.str()?.into()),
                5 => template.is_definition = Some(field.bool()?),
                _ => {}
            }
        }
        Ok(template)
    }
}

/// One of the six plain values, which stand in the same order in every message that has them.
fn scalar(place: u32, field: Field<'_>) -> Result<Raw> {
    Ok(match place {
        0 => Raw::Int(field.u32()?),
        1 => Raw::Long(field.u64()?),
        2 => Raw::Float(field.f32()?),
        3 => Raw::Double(field.f64()?),
        4 => Raw::Bool(field.bool()?),
        _ => Raw::Str(field.str()?.into()),
    })
}

fn cell(bytes: &[u8]) -> Result<Option<Raw>> {
    let mut value = None;
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1..=6 => value = Some(scalar(number - 1, field)?),
            7 => value = Some(Raw::Extension(field.bytes()?.into())),
            _ => {}
        }
    }
    Ok(value)
}

fn parameter(bytes: &[u8]) -> Result<Parameter> {
    let mut parameter = Parameter::default();
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => parameter.name = Some(field.str()?.into()),
            2 => parameter.datatype = Some(field.u32()?),
            3..=8 => parameter.value = Some(scalar(number - 3, field)?),
            9 => parameter.value = Some(Raw::Extension(field.bytes()?.into())),
            _ => {}
        }
    }
    Ok(parameter)
}

fn metadata(bytes: &[u8]) -> Result<MetaData> {
    let mut data = MetaData::default();
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => data.is_multi_part = Some(field.bool()?),
            2 => data.content_type = Some(field.str()?.into()),
            3 => data.size = Some(field.u64()?),
            4 => data.seq = Some(field.u64()?),
            5 => data.file_name = Some(field.str()?.into()),
            6 => data.file_type = Some(field.str()?.into()),
            7 => data.md5 = Some(field.str()?.into()),
            8 => data.description = Some(field.str()?.into()),
            _ => {}
        }
    }
    Ok(data)
}
